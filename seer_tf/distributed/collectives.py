"""Reductions over the replicas of a run, on one device, several devices, or several hosts.

Outside a replica context (one device, eager code, tests) a reduction is the identity, so the same code runs everywhere.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from seer_tf.errors import InputError

#: Bytes of gradients that are reduced together: enough to hide latency, and few compared with all gradients.
BUCKET_BYTES = 128 * 2**20


def num_replicas() -> int:
    """Returns the number of replicas that take part in the step; 1 outside a replica context."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context is not None else 1


def replica_id() -> tf.Tensor:
    """Returns this replica's number, an int32 scalar counted over all hosts; 0 outside a replica context."""
    context = tf.distribute.get_replica_context()
    return tf.convert_to_tensor(context.replica_id_in_sync_group if context is not None else 0, tf.int32)


def all_reduce(x: tf.Tensor) -> tf.Tensor:
    """Returns the sum of `x` over the replicas, with the same shape and dtype; `x` itself for a single replica.

    The gradient of this sum is the sum of the gradients over the replicas.
    """
    return x if num_replicas() == 1 else _sum(x)


@tf.custom_gradient
def _sum(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    # TensorFlow's own reduction has this gradient too. But TensorFlow then searches the graphs of all other replicas
    # for dependencies, which makes tracing two to three times slower. The search stops at a stopped gradient.
    def total(value: tf.Tensor) -> tf.Tensor:
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.stop_gradient(value))

    return total(x), total


def num_groups(replicas: int, *, group_replicas: int) -> int:
    """Returns the number of groups of replicas, at least one.

    Args:
        replicas: Number of replicas.
        group_replicas: Number of replicas in a group. With 0, or a number that is too large, all are in one group.

    Raises:
        InputError: The size of a group does not divide the number of replicas.
    """
    if not 0 < group_replicas < replicas:
        return 1
    if replicas % group_replicas:
        raise InputError(
            f"run.batch_norm_group_replicas={group_replicas} does not divide the {replicas} replicas; give a divisor "
            f"of {replicas}, or 0 for one group of all replicas"
        )
    return replicas // group_replicas


def group_id(*, group_replicas: int) -> tf.Tensor:
    """Returns the number of this replica's group, an int32 scalar. Replicas with neighbouring numbers form a group.

    Args:
        group_replicas: As in `num_groups`.

    Raises:
        InputError: The size of a group does not divide the number of replicas.
    """
    replicas = num_replicas()
    return replica_id() // (replicas // num_groups(replicas, group_replicas=group_replicas))


def all_reduce_in_groups(x: tf.Tensor, *, group_replicas: int) -> tf.Tensor:
    """Returns the sums of `x` over each group of replicas, [groups, ...], with one reduction over all replicas.

    Each replica puts `x` into its group's row of a tensor that is zero elsewhere.

    Args:
        x: Tensor of any shape.
        group_replicas: As in `num_groups`.

    Raises:
        InputError: The size of a group does not divide the number of replicas.
    """
    return all_reduce(_in_own_row(x, group_replicas))


def _in_own_row(x: tf.Tensor, group_replicas: int) -> tf.Tensor:
    """Returns [groups, ...] that is zero except in the row of this replica's group.

    A product with a mask would not do, because zero times infinity is NaN.
    """
    number = num_groups(num_replicas(), group_replicas=group_replicas)
    if number == 1:
        return tf.expand_dims(x, 0)  # unlike x[tf.newaxis] no operation of a device
    own = tf.range(number) == group_id(group_replicas=group_replicas)
    return tf.where(tf.reshape(own, [-1] + [1] * x.shape.rank), x[tf.newaxis], tf.zeros([], x.dtype))


def all_gather(x: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Joins the replicas' tensors along an axis in the order of the replicas; returns `x` for a single replica.

    The gradient of a replica's tensor is the sum over the replicas of the gradients of its part.

    Args:
        x: Tensor with the same shape on all replicas.
        axis: Axis along which the tensors are joined.
    """
    if num_replicas() == 1:
        return x

    @tf.custom_gradient
    def gathered(own: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        # TensorFlow's own gathering has this gradient too; as for `_sum`, tracing it would take longer.
        def part(gradient: tf.Tensor) -> tf.Tensor:
            return tf.gather(tf.stack(tf.split(all_reduce(gradient), num_replicas(), axis=axis)), replica_id())

        return tf.distribute.get_replica_context().all_gather(tf.stop_gradient(own), axis=axis), part

    shape = [num_replicas() * size if i == axis else size for i, size in enumerate(x.shape)]
    return tf.ensure_shape(gathered(x), shape)


def all_reduce_together(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the sums of several tensors over the replicas, with one reduction of the joined tensors.

    Args:
        tensors: Tensors of any shapes and one dtype. Joining costs a copy, but only one reduction has to wait.
    """
    if num_replicas() == 1:
        return list(tensors)
    joined = all_reduce(tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0))
    parts = tf.split(joined, [tensor.shape.num_elements() for tensor in tensors])
    return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def all_reduce_in_buckets(
    tensors: Sequence[tf.Tensor], *, wire_dtype: tf.DType | None = None, bucket_bytes: int = BUCKET_BYTES
) -> list[tf.Tensor]:
    """Returns the sums of many tensors over the replicas, with one reduction for each of a few large buckets.

    The last tensors go first, in the order in which a backward pass computes gradients.

    Args:
        tensors: Tensors of any shapes and one dtype.
        wire_dtype: Dtype in which tensors travel and are added, e.g. float16 for half the bytes; None for the tensors'
            dtype. The sums are returned in the tensors' dtype. The tensors of a single replica are not rounded.
        bucket_bytes: Size of a bucket on the wire.
    """
    if num_replicas() == 1:
        return list(tensors)
    wire_dtype = wire_dtype or tensors[0].dtype
    sums: dict[int, tf.Tensor] = {}
    sizes_bytes = [tensor.shape.num_elements() * wire_dtype.size for tensor in tensors]
    for bucket in buckets(sizes_bytes, bucket_bytes):
        reduced = all_reduce_together([tf.cast(tensors[index], wire_dtype) for index in bucket])
        sums |= {index: tf.cast(value, tensors[index].dtype) for index, value in zip(bucket, reduced, strict=True)}
    return [sums[index] for index in range(len(tensors))]


def buckets(sizes_bytes: Sequence[int], bucket_bytes: int = BUCKET_BYTES) -> list[list[int]]:
    """Returns a list of tensor indices for each bucket that is reduced together, the last tensor first.

    Args:
        sizes_bytes: Sizes of the tensors. A tensor larger than a bucket is in a bucket alone.
        bucket_bytes: Size of a bucket.
    """
    shared: list[list[int]] = []
    room = 0
    for index in reversed(range(len(sizes_bytes))):
        if not shared or sizes_bytes[index] > room:
            shared.append([])
            room = bucket_bytes
        shared[-1].append(index)
        room -= sizes_bytes[index]
    return shared


def shared_variable(value: tf.Tensor | float, dtype: tf.DType, name: str) -> tf.Variable:
    """Returns an untrained variable with the same value on all replicas, for `assign`.

    Args:
        value: Initial value.
        dtype: Dtype of the variable.
        name: Name of the variable.
    """
    aggregation = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return tf.Variable(value, dtype=dtype, trainable=False, name=name, aggregation=aggregation)


def assign(updates: Sequence[tuple[tf.Variable, tf.Tensor]]) -> None:
    """Assigns values, equal on every replica, to variables that all replicas share.

    All assignments share one visit to the cross-replica context, because in each visit the replicas wait for each
    other.
    """
    strategy = tf.distribute.get_strategy()
    tf.__internal__.distribute.interim.maybe_merge_call(_assign_on_every_replica, strategy, list(updates))


def _assign_on_every_replica(
    strategy: tf.distribute.Strategy, updates: Sequence[tuple[tf.Variable, tf.Tensor]]
) -> None:
    for variable, value in updates:
        strategy.extended.update(variable, lambda v, new: v.assign(new), args=(value,), group=False)
