"""The GPUs that TensorFlow finds in this host. `seer_tf/gpu.py` is what is known before TensorFlow is imported."""

import functools
import glob

import tensorflow as tf
from absl import logging

from seer_tf import gpu
from seer_tf.errors import InputError

_NVIDIA_DEVICES = ("/dev/nvidia0", "/proc/driver/nvidia/gpus/*")  # where NVIDIA's driver shows GPUs


def num_gpus() -> int:
    """Returns the number of GPUs of this host that TensorFlow may use; logs a warning if it misses one."""
    found = len(tf.config.list_physical_devices("GPU"))
    if not found and not gpu.are_hidden() and _has_nvidia_gpu():
        _warn_of_missing_gpu()
    return found


def are_used() -> bool:
    """Returns whether this process computes on a GPU. The question starts TensorFlow's devices."""
    return bool(tf.config.list_logical_devices("GPU"))


def newest_capability() -> tuple[int, int]:
    """Returns the newest compute capability for which this TensorFlow was built; (0, 0) if it was built for none."""
    names = tf.sysconfig.get_build_info().get("cuda_compute_capabilities", [])  # such as sm_89 and compute_90
    numbers = [int(name.rpartition("_")[2]) for name in names]
    return divmod(max(numbers, default=0), 10)


def check_capabilities() -> None:
    """Raises an error for a GPU of a later generation than this TensorFlow knows, on which it would end the process.

    Raises:
        InputError: The compute capability of a visible GPU has a larger major number.
    """
    newest = newest_capability()
    for device in tf.config.get_visible_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        own = details.get("compute_capability", (0, 0))
        if own[0] > newest[0]:
            raise InputError(
                f"{details.get('device_name', 'a GPU')} has compute capability {own[0]}.{own[1]}, and TensorFlow "
                f"{tf.__version__} has code up to {newest[0]}.{newest[1]}; hide this GPU by CUDA_VISIBLE_DEVICES (-1 "
                "for the CPU alone), take an older one, or install a TensorFlow that was built for it"
            )


def _has_nvidia_gpu() -> bool:
    """Whether the driver of NVIDIA shows a GPU on this host, whatever TensorFlow finds."""
    return any(glob.glob(pattern) for pattern in _NVIDIA_DEVICES)


@functools.cache
def _warn_of_missing_gpu() -> None:
    logging.warning(  # once
        "this host has an NVIDIA GPU, but TensorFlow finds none and computes on the CPU: install its libraries with "
        "pip install 'seer_tf[gpu]', or update the driver"
    )
