"""Two replicas on the logical CPUs of one process."""

import tensorflow as tf


def two_replicas() -> tf.distribute.MirroredStrategy:
    """Returns a strategy that any number of tests of one process can make.

    The collectives of two ordinary strategies share their keys, and fail when their shapes differ.
    """
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice("CPU:0")
    )
