import numpy as np
import pytest
import tensorflow as tf

from seer_tf import distribution
from tests.two_processes import run_two_processes

_WORKER = """
import tensorflow as tf
from seer_tf import distribution

strategy = tf.distribute.MultiWorkerMirroredStrategy()

@tf.function
def step():
    number = tf.cast(distribution.replica_id(), tf.float64)
    return distribution.all_reduce(tf.stack([number + 1, 10 * number])), distribution.num_replicas()

total, replicas = strategy.run(step)
print(total.numpy().tolist(), int(replicas))
"""


def test_outside_a_replica_context_there_is_one_replica() -> None:
    x = tf.constant([1.0, 2.0])
    assert distribution.all_reduce(x) is x
    assert distribution.num_replicas() == 1
    assert int(distribution.replica_id()) == 0


@pytest.mark.multi_replica
def test_replicas_of_one_process_get_the_sum() -> None:
    one_device = tf.distribute.ReductionToOneDevice()  # collectives allow one size of a group per process
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=one_device)

    @tf.function
    def step() -> tuple[tf.Tensor, tf.Tensor, int]:
        number = distribution.replica_id()
        x = tf.cast(number, tf.float64)
        return distribution.all_reduce(tf.stack([x + 1, 10 * x])), number, distribution.num_replicas()

    totals, numbers, replicas = strategy.run(step)
    for total in strategy.experimental_local_results(totals):
        np.testing.assert_array_equal(total, [3, 10])
    assert [int(number) for number in strategy.experimental_local_results(numbers)] == [0, 1]
    assert replicas == 2


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
