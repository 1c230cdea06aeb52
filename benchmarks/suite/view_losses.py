"""Compares the losses of SimCLR, MoCo and BYOL, and their gradients, with those of the package lightly.

    python -m venv ENV && ENV/bin/pip install lightly
    python -m benchmarks.suite.view_losses --python=ENV/bin/python

lightly is not a dependency: it runs in an environment of its own. Both get the same inputs in float32, and the relative
difference of each result must be at most 1e-5. Otherwise the exit status is 1.

Shapes: B images, D embedding dimensions, Q keys of earlier steps.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from absl import flags

from seer_tf.cli import command
from seer_tf.errors import InputError, shorten
from seer_tf.methods.byol.regression import regression
from seer_tf.methods.moco.info_nce import info_nce
from seer_tf.methods.simclr.nt_xent import nt_xent
from seer_tf.models.embeddings import unit_norm

PYTHON = command.required(flags.DEFINE_string("python", None, "Python of an environment with lightly."))

_IMAGES, _DIMENSIONS, _QUEUE, _TEMPERATURE = 64, 128, 512, 0.2
_LARGEST_DIFFERENCE = 1e-5
_PEER = pathlib.Path(__file__).parent.parent / "peers" / "lightly_losses.py"


def main() -> None:
    """Runs the command."""
    inputs = random_inputs()
    found = differences(ours(inputs), theirs(inputs, PYTHON.value))
    for name, far in found.items():
        print(f"{name:16} relative difference {far:.1e}")
    if max(found.values()) > _LARGEST_DIFFERENCE:
        sys.exit(f"the largest difference is above {_LARGEST_DIFFERENCE:g}")


def random_inputs() -> dict[str, np.ndarray]:
    """Returns two views of images [B, D] of any norm, a queue [Q, D] of unit norm, and the temperature."""
    generator = np.random.default_rng(0)
    one, noise, queue = (generator.normal(size=[n, _DIMENSIONS]) for n in (_IMAGES, _IMAGES, _QUEUE))
    queue /= np.linalg.norm(queue, axis=1, keepdims=True)
    arrays = {"one": one, "other": one + noise, "queue": queue, "temperature": np.array(_TEMPERATURE)}
    return {name: each.astype(np.float32) for name, each in arrays.items()}


def ours(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns our losses, and the gradients by both views [2, B, D], by name."""
    temperature, queue = float(inputs["temperature"]), tf.constant(inputs["queue"])
    losses: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
        "simclr": lambda views: nt_xent(unit_norm(views), temperature=temperature).loss,
        "moco": lambda views: info_nce(unit_norm(views[0]), unit_norm(views[1]), queue, temperature=temperature).loss,
        "byol": lambda views: regression(views, views),
    }
    results: dict[str, np.ndarray] = {}
    for name, loss_of in losses.items():
        with tf.GradientTape() as tape:
            views = tf.constant(np.stack([inputs["one"], inputs["other"]]))
            tape.watch(views)
            loss = loss_of(views)
        results |= {name: loss.numpy(), f"{name}/gradient": tape.gradient(loss, views).numpy()}
    return results


def theirs(inputs: Mapping[str, np.ndarray], python: str) -> dict[str, np.ndarray]:
    """Returns the same from lightly.

    Args:
        inputs: Result of `random_inputs`.
        python: Python of an environment with lightly.

    Raises:
        InputError: This Python does not exist, or cannot run lightly.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = [f"{folder}/inputs.npz", f"{folder}/outputs.npz"]
        np.savez(places[0], allow_pickle=False, **dict(inputs))
        try:
            done = subprocess.run([python, str(_PEER), *places], capture_output=True, text=True)
        except OSError as error:
            raise InputError(f"{python} cannot be run ({error.strerror}); name the Python of an environment") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise InputError(f"{python} cannot run lightly ({shorten(last)}); install lightly in its environment")
        with np.load(places[1]) as outputs:
            return dict(outputs)


def differences(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the largest difference of each result, relative to its largest value."""
    return {name: float(np.max(np.abs(one[name] - other[name])) / np.max(np.abs(other[name]))) for name in other}


if __name__ == "__main__":
    command.run(main)
