"""Groups of replicas, for batch normalisation."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.errors import InputError
from tests.replicas import replicas


@pytest.mark.parametrize(
    ("num_replicas", "group_replicas", "expected"),
    [(1, 0, 1), (8, 0, 1), (8, 1, 8), (8, 2, 4), (8, 8, 1), (8, 64, 1), (512, 64, 8)],
)
def test_replicas_divide_into_groups(num_replicas: int, group_replicas: int, expected: int) -> None:
    assert collectives.num_groups(num_replicas, group_replicas=group_replicas) == expected


def test_replicas_that_do_not_divide_are_refused() -> None:
    with pytest.raises(InputError, match=r"batch_norm_group_replicas=3 does not divide the 8 replicas"):
        collectives.num_groups(8, group_replicas=3)


def test_one_replica_is_one_group() -> None:
    x = tf.constant([1.0, 2.0])
    np.testing.assert_array_equal(collectives.all_reduce_in_groups(x, group_replicas=64), [x])
    assert int(collectives.group_id(group_replicas=64)) == 0


@pytest.mark.multi_replica
def test_neighbours_share_a_group_and_an_infinite_number_stays_in_its_group() -> None:
    strategy = replicas(4)

    @tf.function
    def step() -> tuple[tf.Tensor, tf.Tensor]:
        number = tf.cast(collectives.replica_id(), tf.float32)
        x = tf.stack([number, tf.where(number == 0, np.inf, 1.0)])
        return collectives.all_reduce_in_groups(x, group_replicas=2), collectives.group_id(group_replicas=2)

    sums, groups = (strategy.experimental_local_results(result) for result in strategy.run(step))
    for copy in sums:
        np.testing.assert_array_equal(copy, [[0 + 1, np.inf], [2 + 3, 2]])
    assert [int(group) for group in groups] == [0, 0, 1, 1]
