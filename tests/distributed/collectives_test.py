from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.distributed import collectives
from seer_tf.pretraining.planning import plan
from seer_tf.pretraining.recipes import recipe
from tests.places import DOCS
from tests.replicas import two_replicas
from tests.two_processes import run_two_processes

_WORKER = """
import tensorflow as tf
from seer_tf.distributed import collectives

strategy = tf.distribute.MultiWorkerMirroredStrategy()

@tf.function
def step():
    number = tf.cast(collectives.replica_id(), tf.float64)
    return collectives.all_reduce(tf.stack([number + 1, 10 * number])), collectives.num_replicas()

total, replicas = strategy.run(step)
print(total.numpy().tolist(), int(replicas))
"""


def test_outside_a_replica_context_there_is_one_replica() -> None:
    x = tf.constant([1.0, 2.0])
    assert collectives.all_reduce(x) is x
    assert collectives.num_replicas() == 1
    assert int(collectives.replica_id()) == 0


@pytest.mark.multi_replica
def test_replicas_of_one_process_get_the_sum() -> None:
    # TensorFlow's default collectives allow only one group size in a process.
    one_device = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=one_device)

    @tf.function
    def step() -> tuple[tf.Tensor, tf.Tensor, int]:
        number = collectives.replica_id()
        x = tf.cast(number, tf.float64)
        return collectives.all_reduce(tf.stack([x + 1, 10 * x])), number, collectives.num_replicas()

    totals, numbers, replicas = strategy.run(step)
    for total in strategy.experimental_local_results(totals):
        np.testing.assert_array_equal(total, [3, 10])
    assert [int(number) for number in strategy.experimental_local_results(numbers)] == [0, 1]
    assert replicas == 2


def of_replicas(function: Callable[[tf.Tensor], Any]) -> tuple[list[Any], tf.Graph]:
    """Runs a function of the replica's number, in float64, on two replicas. Returns the results and the graph."""
    strategy = two_replicas()

    @tf.function
    def step() -> Any:
        return strategy.run(lambda: function(tf.cast(collectives.replica_id(), tf.float64)))

    results = [strategy.experimental_local_results(result) for result in tf.nest.flatten(step())]
    return list(zip(*results, strict=True)), step.get_concrete_function().graph


def num_reductions(graph: tf.Graph) -> int:
    return sum(op.type == "AddN" for op in graph.get_operations())


@pytest.mark.multi_replica
def test_the_gradient_of_a_sum_is_the_sum_of_the_gradients() -> None:
    def gradient(number: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(number)
            loss = (number + 2) * collectives.all_reduce(tf.square(number + 1))  # 2 * 5 and 3 * 5
        return tape.gradient(loss, number)

    (one, other), _ = of_replicas(gradient)
    # The factor outside of the square gives the whole sum. The square gives the factors of both replicas.
    assert [one[0].numpy(), other[0].numpy()] == [5 + (2 + 3) * 2 * 1, 5 + (2 + 3) * 2 * 2]


@pytest.mark.multi_replica
def test_a_gathered_tensor_has_the_replicas_in_order() -> None:
    (one, other), _ = of_replicas(
        lambda number: collectives.all_gather(tf.stack([[2 * number], [2 * number + 1]]), axis=1)
    )
    expected = [[0.0, 2.0], [1.0, 3.0]]
    np.testing.assert_array_equal(one[0], expected)
    np.testing.assert_array_equal(other[0], expected)


@pytest.mark.multi_replica
def test_the_gradient_of_a_gathered_tensor_comes_from_all_replicas() -> None:
    def gradient(number: tf.Tensor) -> tf.Tensor:
        own = tf.stack([[number], [2 * number]])
        with tf.GradientTape() as tape:
            tape.watch(own)
            # Weights of this replica's loss.
            weights = (number + 1) * tf.constant([[1.0, 10.0], [2.0, 20.0]], tf.float64)
            loss = tf.reduce_sum(weights * collectives.all_gather(own, axis=1))
        return tape.gradient(loss, own)

    (one, other), _ = of_replicas(gradient)
    # 1 + 2 times the weights that both replicas give to the first column.
    np.testing.assert_array_equal(one[0], [[3.0], [6.0]])
    np.testing.assert_array_equal(other[0], [[30.0], [60.0]])


def test_the_page_on_reductions_states_the_planner_s_numbers() -> None:
    page = (DOCS / "design" / "reductions.md").read_text()
    config = recipe("seer_regnety_256gf")
    exact, half = (
        plan(configs.override(config, [f"run.reduce_precision={precision}"]), 512)
        for precision in ("float32", "float16")
    )
    widths = config.head.num_prototypes
    rows = 4 * 8 * 2 * 86  # bytes of the numbers of rows, which only the forward pass sums, in each of 8 groups
    sums = [exact.batch_norm.number, exact.embeddings.number, exact.gradients.number, 1, 1]
    num_bytes = [exact.batch_norm.num_bytes, exact.embeddings.num_bytes, exact.gradients.num_bytes]
    num_bytes += [4 * (1 + 2 * 86 + 1), 4 * (4 + 2 * widths)]  # 86 layers of batch norm have two statistics each
    for row in (
        f"| batch norm, forward | {exact.batch_norm.number // 2} | {(exact.batch_norm.num_bytes + rows) // 2:,} |",
        f"| batch norm, backward | {exact.batch_norm.number // 2} | {(exact.batch_norm.num_bytes - rows) // 2:,} |",
        f"| codes | {exact.embeddings.number} | {exact.embeddings.num_bytes:,} |",
        f"| loss | 1 | {num_bytes[3]:,} |",
        f"| what is logged | 1 | {num_bytes[4]:,} |",
        f"| gradients | {exact.gradients.number} | {exact.gradients.num_bytes:,} |",
        f"| **together** | **{sum(sums)}** | **{sum(num_bytes):,}** |",
        f"are {half.gradients.number} sums of {half.gradients.num_bytes:,} bytes, and a step has "
        f"{sum(sums) - exact.gradients.number + half.gradients.number}.",
    ):
        assert row in page, row


def test_buckets_are_filled_from_the_last_tensor() -> None:
    assert collectives.buckets([3, 4, 2, 20, 5, 5], 10) == [[5, 4], [3], [2, 1, 0]]
    assert collectives.buckets([]) == []


@pytest.mark.multi_replica
@pytest.mark.parametrize("wire_dtype", [None, tf.float16, tf.bfloat16])
def test_tensors_in_buckets_get_their_sums(wire_dtype: tf.DType | None) -> None:
    shapes: list[list[int]] = [[2, 3], [], [5], [1, 4]]
    values = [np.random.default_rng(0).normal(size=shape) for shape in shapes]

    def sums(number: tf.Tensor) -> list[tf.Tensor]:
        tensors = [tf.constant(value) * (number + 1) for value in values]
        return collectives.all_reduce_in_buckets(tensors, wire_dtype=wire_dtype, bucket_bytes=10 * 2)

    results, graph = of_replicas(sums)
    for replica in results:
        for actual, value in zip(replica, values, strict=True):
            assert actual.dtype == tf.float64
            np.testing.assert_allclose(actual, 3 * value, rtol=1e-12 if wire_dtype is None else 2e-2)
    assert num_reductions(graph) == (4 if wire_dtype is None else 2)


@pytest.mark.two_process
def test_two_processes_get_the_sum() -> None:
    assert run_two_processes(_WORKER) == ["[3.0, 10.0] 2"] * 2


@pytest.mark.two_process
def test_a_process_that_fails_ends_the_other() -> None:
    fragile = """
import json, os, time
if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 1:
    raise ValueError("no such thing")
time.sleep(60)
"""
    with pytest.raises(AssertionError, match="(?s)worker 1 ended with 1.*no such thing"):
        run_two_processes(fragile)


@pytest.mark.two_process
def test_processes_that_hang_are_killed() -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)"
    with pytest.raises(AssertionError, match="still running after 2 s"):
        run_two_processes(deaf, timeout_seconds=2)
