"""Benchmarks beside peers and the machine's own limit: `python -m benchmarks [NAME ...]`.

NAME is one of backbone, train_step, input_pipeline, sinkhorn, scaling, checkpoint, evaluation, exported, gpu,
gpu_counts and data_at_scale. Without a name all but the last three run: gpu measures steps on the GPUs of this host,
gpu_counts counts on a CPU what a GPU would do, and data_at_scale reads a billion images from a simulated store. Each
table is printed when it is complete. The file of --output has every single time, the machine and the versions. It is
replaced after each table, so that an interrupted run keeps its results. A picture beside the file shows how time and
memory grow. With --quick everything runs in minutes, at sizes whose numbers mean nothing.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import importlib
import json
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

from absl import app, flags

from benchmarks.harness.growth import Growth, picture
from benchmarks.harness.machine import machine
from benchmarks.harness.settings import Settings
from seer_tf.errors import InputError
from seer_tf.files.atomic import write_atomically

NAMES = ("backbone", "train_step", "input_pipeline", "sinkhorn", "scaling", "checkpoint", "evaluation", "exported")
ON_REQUEST = ("gpu", "gpu_counts", "data_at_scale")
_QUIET_CORES = 0.2

ROUNDS = flags.DEFINE_integer("rounds", 9, "Number of times that each contestant is timed.", 1)
ONLY = flags.DEFINE_string("only", "", "Regular expression that must match somewhere in the title of a case.")
OUTPUT = flags.DEFINE_string("output", "benchmarks.json", "JSON file to write; the picture, a .png, goes beside it.")
QUICK = flags.DEFINE_bool("quick", False, "Use tiny sizes, to show that everything runs; PyTorch is not compiled.")
PHOTOS = flags.DEFINE_string("photos", None, "Directory of photographs for input_pipeline. [scikit-learn's]")
MAX_IMAGES = flags.DEFINE_integer("max_images", Settings.max_images, "Largest number of records in scaling.", 1000)


def main(argv: list[str]) -> None:
    """Runs benchmarks; a wrong input ends in one sentence and exit status 2."""
    try:
        settings = Settings(QUICK.value, PHOTOS.value, MAX_IMAGES.value)
        run(argv[1:] or NAMES, settings, ROUNDS.value, ONLY.value, pathlib.Path(OUTPUT.value))
    except InputError as error:
        sys.exit(_said(error))


def run(names: Sequence[str], settings: Settings, rounds: int, only: str, output: pathlib.Path) -> None:
    """Runs benchmarks, prints their tables, writes the JSON and the picture.

    Args:
        names: Names of benchmarks, in this order.
        settings: Settings for all of them.
        rounds: Number of times that each contestant is timed.
        only: Regular expression for the titles of cases.
        output: Path of the JSON file.

    Raises:
        InputError: A benchmark does not exist, or no title matches.
    """
    for name in names:
        if name not in (*NAMES, *ON_REQUEST):
            raise InputError.unknown("benchmark", name, (*NAMES, *ON_REQUEST))
    results: list[dict[str, Any]] = []
    growths: list[Growth] = []
    for name in names:
        print(f"## {name}\n", flush=True)
        for case in importlib.import_module(f"benchmarks.suite.{name}").cases(settings):
            if not re.search(only, case.title):
                continue
            before = machine()
            if before["busy_cores"] > _QUIET_CORES:
                print(
                    f"Other processes keep {before['busy_cores']} cores busy. Do not rely on the next table: threads "
                    "that wait by spinning, such as PyTorch's, suffer most from busy cores.\n"
                )
            result = case.run(case.title, rounds)
            print(result.table(), flush=True)
            results.append({"benchmark": name, **result.as_json(), "machine": before})
            write_atomically(output, json.dumps(results, indent=1))
            if isinstance(result, Growth):
                growths.append(result)
                write_atomically(output.with_suffix(".png"), picture(growths))
    if not results:
        raise InputError(f"--only={only} matches no title in {', '.join(names)}; leave the flag out to run all cases")


def _parsed(argv: list[str]) -> list[str]:
    """Gives flags their values, and returns the other words; a wrong flag ends in one sentence and exit status 2."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(_said(error))


def _said(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    app.run(main, flags_parser=_parsed)
