"""The versions on which results depend: of this package, TensorFlow, Keras and Python."""

import hashlib
import pathlib
import platform

import keras
import tensorflow as tf

import seer_tf


def versions() -> dict[str, str]:
    """Returns the versions on which a run's numbers depend besides its config; `code` is a hash of this package."""
    return {
        "seer_tf": seer_tf.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
        "code": _digest_of_code(),
    }


def _digest_of_code() -> str:
    package = pathlib.Path(seer_tf.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
