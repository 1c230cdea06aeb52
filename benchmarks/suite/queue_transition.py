"""The loss when the queue of a small batch starts: compares a run with a queue and a run without.

The runs use recipe `demo` with the built-in images in batches of 16. The queue holds the last 64 images and is used
from step 400 on. The program prints the mean losses before and after the start, and draws both curves: `python -m
benchmarks.suite.queue_transition PICTURE.png`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pathlib
import sys
import tempfile

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seer_tf import config as configs
from seer_tf.data.sources.registry import open_source
from seer_tf.pretraining.recipes import recipe
from seer_tf.pretraining.task import pretrain
from seer_tf.reports.learning_curve import RELATIVE_LOSS, read_scalars
from seer_tf.training.run_directory import RunDirectory

_START, _STEPS, _LENGTH, _EVERY = 400, 700, 64, 5
_SETTINGS = (
    "data.global_batch_size=16",
    "schedule.reference_batch_size=64",
    f"swav.queue_start_step={_START}",
    f"run.num_steps={_STEPS}",
    f"run.log_every_steps={_EVERY}",
    f"run.steps_per_call={_EVERY}",
    f"run.checkpoint_every_steps={_STEPS}",
)


def main(picture: str) -> None:
    """Makes the runs, prints a Markdown table and writes the picture."""
    curves = {name: _curve(length) for name, length in (("with the queue", _LENGTH), ("without", 0))}
    print("| steps | " + " | ".join(curves) + " |\n|---|---|---|")
    for first in range(_START - 100, _START + 150, 25):
        means = [np.mean([loss for step, loss in curve if first < step <= first + 25]) for curve in curves.values()]
        print(f"| {first + 1} to {first + 25} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss / ln K")
    for name, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), label=name, linewidth=1)
    axes.axvline(_START, color="grey", linestyle="--", linewidth=1)
    axes.legend()
    FigureCanvasAgg(figure).print_png(picture)


def _curve(queue_length: int) -> list[tuple[int, float]]:
    """Returns pairs of step and loss / ln K from a run with a queue of this length."""
    config = configs.validate(configs.override(recipe("demo"), [*_SETTINGS, f"swav.queue_length={queue_length}"]))
    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory(pathlib.Path(folder) / "run")
        pretrain(config, open_source(config.data.source), directory)
        return read_scalars(directory.tensorboard, RELATIVE_LOSS)


if __name__ == "__main__":
    main(sys.argv[1])
