"""The environment of all tests: a quiet TensorFlow with four logical CPUs."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads this variable during its import
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # the same value as seer_tf, which is imported later

import tensorflow as tf

NUM_LOGICAL_CPUS = 4


def pytest_configure() -> None:
    """Splits the CPU into logical devices, because TensorFlow cannot split it after its first use.

    PyTorch's wheels for GPUs bring triton, which crashes in a process with TensorFlow. It is left out.
    """
    sys.modules["triton"] = None  # type: ignore[assignment]
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * NUM_LOGICAL_CPUS)
