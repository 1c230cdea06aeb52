"""Where a run computes: one device, several, or several hosts, and the reductions over them.

Outside a replica context (one device, eager code, tests) a reduction is the identity, so that the same mathematics runs
everywhere.
"""

from collections.abc import Sequence

import tensorflow as tf


def num_replicas() -> int:
    """Returns the number of replicas that take part in the step; 1 outside a replica context."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context is not None else 1


def replica_id() -> tf.Tensor:
    """Returns this replica's number, an int32 scalar counted over all hosts; 0 outside a replica context."""
    context = tf.distribute.get_replica_context()
    return tf.convert_to_tensor(context.replica_id_in_sync_group if context is not None else 0, tf.int32)


def all_reduce(x: tf.Tensor) -> tf.Tensor:
    """Returns the sum of `x` over the replicas, of the same shape and dtype; `x` itself where there is only one."""
    if num_replicas() == 1:
        return x
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, x)


def all_reduce_together(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the sums of several tensors over the replicas, by one reduction of all of them joined.

    Args:
        tensors: of any shapes and one dtype. Joining them costs a copy, and saves a latency for each tensor but one.
    """
    if num_replicas() == 1:
        return list(tensors)
    joined = all_reduce(tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0))
    parts = tf.split(joined, [tensor.shape.num_elements() for tensor in tensors])
    return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def assign(updates: Sequence[tuple[tf.Variable, tf.Tensor]]) -> None:
    """Assigns values, equal on every replica, to variables that all replicas share.

    One visit to the cross-replica context serves all of them, since each makes the replicas wait for one another.
    """
    strategy = tf.distribute.get_strategy()
    tf.__internal__.distribute.interim.maybe_merge_call(_assign_on_every_replica, strategy, list(updates))


def _assign_on_every_replica(
    strategy: tf.distribute.Strategy, updates: Sequence[tuple[tf.Variable, tf.Tensor]]
) -> None:
    for variable, value in updates:
        strategy.extended.update(variable, lambda v, new: v.assign(new), args=(value,), group=False)
