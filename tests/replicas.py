"""Replicas on the logical CPUs of one process."""

import tensorflow as tf


def replicas(number: int) -> tf.distribute.MirroredStrategy:
    """Returns a strategy that many tests in one process can create.

    Two default strategies share the keys of their collectives, and the collectives fail if their shapes differ. This
    strategy therefore reduces to one device.

    Args:
        number: Number of replicas, at most `conftest.NUM_LOGICAL_CPUS`.
    """
    return tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(number)], cross_device_ops=tf.distribute.ReductionToOneDevice("CPU:0")
    )


def two_replicas() -> tf.distribute.MirroredStrategy:
    return replicas(2)
