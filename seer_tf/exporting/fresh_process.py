"""Runs an exported file as its user would: by a script of `readers/`, in a fresh process with a user's environment."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

_READERS = Path(__file__).parent / "readers"
_SET_BY_US = ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS")

AS_IT_IS: Mapping[str, str] = {}
"""The environment of a user who has set nothing."""

EVERY_ONE_DNN = ({"TF_ENABLE_ONEDNN_OPTS": "0"}, {"TF_ENABLE_ONEDNN_OPTS": "1"})
"""oneDNN off and on. A user who has set nothing has one of the two: on where the processor has AVX-512, else off."""


def run(reader: str, path: Path, given: Path, variables: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Runs a file in a fresh process.

    Args:
        reader: Name of the script.
        path: The file.
        given: Directory with what the script reads; the outputs are written there too.
        variables: What the user has set, beside the environment that this program was started in.

    Returns:
        The outputs by name.

    Raises:
        RuntimeError: The script fails.
    """
    outputs = given / "outputs.npz"
    fresh = run_script(_READERS / f"{reader}.py", (path, given, outputs), variables)
    if fresh.returncode:
        settings = "".join(f" with {name}={value}" for name, value in variables.items())
        raise RuntimeError(f"{path.name} fails in a fresh process{settings}; nothing was written:\n{fresh.stderr}")
    with np.load(outputs) as found:
        return dict(found)


def run_script(
    script: Path, arguments: Sequence[str | Path], variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a script of Python in a fresh process with a user's environment, to which `variables` are added."""
    users = {name: value for name, value in os.environ.items() if name not in _SET_BY_US}
    command = [sys.executable, "-I", str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**users, **variables})
