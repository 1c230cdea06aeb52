"""Replicas on the logical CPUs of one process."""

import tensorflow as tf


def replicas(number: int) -> tf.distribute.MirroredStrategy:
    """Returns a strategy that any number of tests of one process can make.

    The collectives of two ordinary strategies share their keys, and fail when their shapes differ.

    Args:
        number: of replicas, at most `conftest.NUM_LOGICAL_CPUS`.
    """
    return tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(number)], cross_device_ops=tf.distribute.ReductionToOneDevice("CPU:0")
    )


def two_replicas() -> tf.distribute.MirroredStrategy:
    """Returns a strategy of two replicas."""
    return replicas(2)
