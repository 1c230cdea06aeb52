"""The queue: its content, its order, the steps that use it, and its equality for any number of replicas."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.methods.swav.queue import Queue
from seer_tf.methods.swav.sinkhorn import sinkhorn
from seer_tf.methods.swav.swapped_prediction import swapped_prediction
from tests import places
from tests.references import queue as oracle
from tests.replicas import replicas

A, Q, D, K = 2, 8, 3, 5


def make_queue(start_step: int = 0) -> Queue:
    return Queue(Q, num_assigning_crops=A, embedding_dim=D, start_step=start_step, dtype=tf.float64)


def batches(number: int, size: int = 4) -> np.ndarray:
    """Returns embeddings [number, A, size, D]."""
    return np.random.default_rng(0).normal(size=(number, A, size, D))


def push(queue: Queue, embeddings: tf.Tensor) -> None:
    collectives.assign(queue.pushed(embeddings))


def test_new_embeddings_replace_the_oldest() -> None:
    queue, references = make_queue(), [oracle.Queue(Q, D) for _ in range(A)]
    for batch in batches(5):
        push(queue, tf.constant(batch))
        for crop, reference in enumerate(references):
            reference.push(batch[crop])
            np.testing.assert_array_equal(queue.embeddings[crop, : len(reference.rows)], reference.rows)
    assert int(queue.num_pushed) == 20


def test_queue_codes_loss_and_gradient_equal_the_released_code() -> None:
    """VISSL puts the queue behind the batch; the prototypes change in each step, and so do the scores of the queue."""
    golden = np.load(places.GOLDEN / "swav_queue.npz")
    embeddings, prototypes = golden["embeddings"], golden["prototypes"]
    first, length = int(golden["first_full_step"]), golden["queues"].shape[2]
    queue = Queue(length, num_assigning_crops=2, embedding_dim=embeddings.shape[-1], start_step=0, dtype=tf.float32)
    for step, (rows, now) in enumerate(zip(embeddings, prototypes, strict=True)):
        if step >= first:
            scores = tf.Variable(rows @ now.T)
            together = tf.concat([queue.scores(tf.constant(now)), scores[:2]], axis=1)
            codes = sinkhorn(together, epsilon=float(golden["epsilon"]), num_iterations=int(golden["iterations"]))
            codes = codes[:, length:]
            with tf.GradientTape() as tape:
                loss = swapped_prediction(scores, codes, temperature=float(golden["temperature"]))
            np.testing.assert_allclose(codes, golden["codes"][step - first], atol=1e-6)
            np.testing.assert_allclose(loss, golden["losses"][step - first], rtol=1e-6)
            np.testing.assert_allclose(tape.gradient(loss, scores), golden["gradients"][step - first], atol=2e-6)
        push(queue, tf.constant(rows[:2]))
        if step >= first - 1:
            np.testing.assert_array_equal(queue.embeddings, golden["queues"][step - first + 1])


def test_the_queue_is_used_only_when_full_and_after_its_start_step() -> None:
    queue, early = make_queue(start_step=3), make_queue(start_step=0)
    used, used_early = [], []
    for step, batch in enumerate(batches(6)):
        used.append(bool(queue.in_use(tf.constant(step))))
        used_early.append(bool(early.in_use(tf.constant(step))))
        push(queue, tf.constant(batch))
        push(early, tf.constant(batch))
    assert used == [False, False, False, True, True, True]
    assert used_early == [False, False, True, True, True, True]


@pytest.mark.multi_replica
@pytest.mark.parametrize("num_replicas", [2, 4])
def test_replicas_share_one_queue_in_the_order_of_the_global_batch(num_replicas: int) -> None:
    strategy, alone = replicas(num_replicas), make_queue()
    with strategy.scope():
        shared = make_queue()
    prototypes = tf.constant(np.random.default_rng(1).normal(size=(K, D)))

    @tf.function
    def step(embeddings: tf.Tensor) -> tf.Tensor:
        push(shared, embeddings)
        return shared.scores(prototypes)

    for batch in batches(3):
        push(alone, tf.constant(batch))
        parts = np.split(batch, num_replicas, axis=1)
        own = strategy.experimental_distribute_values_from_function(
            lambda context, parts=parts: tf.constant(parts[context.replica_id_in_sync_group])
        )
        scores = strategy.experimental_local_results(strategy.run(step, args=(own,)))
        for copy in strategy.experimental_local_results(shared.embeddings):
            np.testing.assert_array_equal(copy, alone.embeddings)
        np.testing.assert_allclose(np.concatenate(scores, axis=1), alone.scores(prototypes), rtol=1e-12)
