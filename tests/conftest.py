"""What every test starts from: a quiet TensorFlow with four logical CPUs."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported, so before it is
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as seer_tf does, which comes later here

import tensorflow as tf

NUM_LOGICAL_CPUS = 4


def pytest_configure() -> None:
    """Splits the CPU before anything touches TensorFlow; afterwards it cannot be split."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * NUM_LOGICAL_CPUS)
