"""Speed trial: measures how fast a config trains on this machine, by a few steps in a separate process."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import seer_tf
from seer_tf import config as configs
from seer_tf.config import PretrainingConfig
from seer_tf.errors import InputError
from seer_tf.pretraining.registry import find_method
from seer_tf.training import metrics

_STEPS_PER_LINE = 8
_LINES = 4  # the first line is left out, because its steps fill the pipeline
_PACKAGE = pathlib.Path(seer_tf.__file__).parent.parent  # perhaps only this process has it on its path


def images_per_second(config: PretrainingConfig, strategy: str, num_devices: int) -> float:
    """Returns the median speed of 24 steps, in images of all devices.

    Args:
        config: Config of the run that will be made.
        strategy: Kind of its strategy, one of `distributed.strategy.KINDS`.
        num_devices: Number of devices in this host.

    Raises:
        InputError: The speed trial failed; the message says why.
    """
    with tempfile.TemporaryDirectory(prefix="seer_tf_speed_trial_") as scratch:
        log = pathlib.Path(scratch) / "log.jsonl"
        assignments = [
            *configs.to_text(config).splitlines(),
            f"run.num_steps={_STEPS_PER_LINE * _LINES}",
            f"run.log_every_steps={_STEPS_PER_LINE}",
            f"run.examine_every_steps={_STEPS_PER_LINE * _LINES}",
            f"run.checkpoint_every_steps={_STEPS_PER_LINE * _LINES}",
            f"run.steps_per_call={_STEPS_PER_LINE}",
            "schedule.warmup_steps=0",
            "run.on_trouble=warn",
            "run.init_from=",  # a run to continue may be longer than the trial, and weights do not change the speed
            "run.reset=",
        ]
        flags = [
            ("recipe", next(iter(find_method(config.method).recipes))),  # its values are all replaced
            ("run_dir", f"{scratch}/run"),
            ("log_json", log),
            ("strategy", strategy),
            ("num_devices", num_devices),
            *(("set", assignment) for assignment in assignments),
        ]
        command = [sys.executable, "-m", "seer_tf.cli", "pretrain", *(f"--{name}={value}" for name, value in flags)]
        path = os.pathsep.join([str(_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
        result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
        if result.returncode:
            last = (result.stderr.strip().splitlines() or [f"status {result.returncode}"])[-1]
            raise InputError(f"the speed trial of the derived config failed: {last.removeprefix('error: ')}")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    return statistics.median(line[metrics.IMAGES_PER_SECOND] for line in lines[1:])
