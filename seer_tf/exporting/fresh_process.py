"""Runs an exported file as its user would: by a script, in a fresh process with the environment of a user."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from seer_tf.files.plain_path import plain_path

READERS = Path(__file__).parent / "readers"
_SET_BY_US = (
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
)
# Both settings of oneDNN are for CPUs, and a GPU's memory may be full of the network that is compared.
_ON_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}

AS_IT_IS: Mapping[str, str] = {}
"""The environment of a user who has set nothing."""

EVERY_ONE_DNN = ({"TF_ENABLE_ONEDNN_OPTS": "0"}, {"TF_ENABLE_ONEDNN_OPTS": "1"})
"""oneDNN off and on. Without a setting TensorFlow does one of the two: on if the processor has AVX-512, else off."""


def run(reader: Path, path: Path, given: Path, variables: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Runs a file in a fresh process.

    Args:
        reader: The script.
        path: The file.
        given: Directory with the script's inputs; the outputs are written there too.
        variables: Environment variables to set, in addition to the environment of this program's start.

    Returns:
        The outputs by name.

    Raises:
        RuntimeError: The script fails.
    """
    outputs = given / "outputs.npz"
    with plain_path(path) if path.is_dir() else contextlib.nullcontext(path) as plain:
        fresh = run_script(reader, (plain, given, outputs), variables)
    if fresh.returncode:
        settings = "".join(f" with {name}={value}" for name, value in variables.items())
        raise RuntimeError(f"{path.name} fails in a fresh process{settings}; nothing was written:\n{fresh.stderr}")
    with np.load(outputs) as found:
        return dict(found)


def run_script(
    script: Path, arguments: Sequence[str | Path], variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a Python script in a fresh process without GPUs, with a user's environment and additional `variables`."""
    users = {name: value for name, value in os.environ.items() if name not in _SET_BY_US}
    command = [sys.executable, "-I", str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**users, **_ON_CPU, **variables})
