"""Whether this process may use a GPU, known without TensorFlow, and the environment of processes that may not."""

import os
from collections.abc import Mapping

_DRIVER = "/dev/nvidiactl"

#: Environment of processes that compute on the CPU alone. TensorFlow would call hidden GPUs an error.
HIDDEN: Mapping[str, str] = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def may_be_used() -> bool:
    """Returns whether this host has the driver of NVIDIA, and its GPUs are not hidden from this process."""
    return os.path.exists(_DRIVER) and not are_hidden()


def are_hidden() -> bool:
    """Returns whether all GPUs are hidden from this process."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")


def one_dnn() -> str:
    """Returns the value of TF_ENABLE_ONEDNN_OPTS: "1" on CPUs, "0" beside a GPU.

    Without oneDNN grouped convolutions have no gradient on the CPU, and TensorFlow leaves it out by default where there
    is no AVX-512. With oneDNN TensorFlow does not fuse batch normalisation with ReLU, not even on a GPU.
    """
    return "0" if may_be_used() else "1"
