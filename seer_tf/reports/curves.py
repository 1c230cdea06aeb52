"""The curves of a run: every number in its log over the steps, from TensorBoard's events or from JSON lines."""

import os
import pathlib

import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seer_tf.errors import InputError
from seer_tf.files import jsonl
from seer_tf.training.run_directory import check_exists
from seer_tf.training.tensorboard import PERCENT

Curves = dict[str, dict[int, float]]
"""Values by name and step, in the order of steps."""


def read_curves(place: str | os.PathLike[str]) -> Curves:
    """Reads the curves of a run. If an interrupted run wrote a step twice, the later value counts.

    Args:
        place: Run directory, or the `log_json` file of a run.

    Returns:
        The curves; steps without a value are left out.

    Raises:
        InputError: There is no log of a run.
    """
    path = pathlib.Path(place)
    check_exists(path)
    curves = _from_json_lines(path) if path.is_file() else read_events(path / "tensorboard")
    if not curves:
        raise InputError(f"{place} has no log of a run; give a run directory or the run's `log_json` file")
    return {name: dict(sorted(curve.items())) for name, curve in sorted(curves.items())}


def _from_json_lines(file: pathlib.Path) -> Curves:
    curves: Curves = {}
    for numbers in jsonl.read_complete(file):
        step = numbers.pop("step", None)
        for name, value in numbers.items():
            if type(step) is int and type(value) in (int, float):
                curves.setdefault(name, {})[step] = value
    return curves


def read_events(directory: pathlib.Path) -> Curves:
    """Returns the curves in a directory of TensorBoard's events, with shares from 0 to 1; empty without a directory."""
    if not directory.is_dir():
        return {}
    events = EventAccumulator(str(directory), size_guidance={"tensors": 0}).Reload()
    curves: Curves = {}
    for name in events.Tags()["tensors"]:
        if events.SummaryMetadata(name).plugin_data.plugin_name == "scalars":
            in_time = sorted(events.Tensors(name), key=lambda event: event.wall_time)
            scale = 100.0 if name.endswith(PERCENT) else 1.0
            values = {event.step: float(tf.make_ndarray(event.tensor_proto)) / scale for event in in_time}
            curves.setdefault(name.removesuffix(PERCENT), {}).update(values)
    return curves
