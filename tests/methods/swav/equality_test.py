"""The same training on one device, several devices and several hosts: 1 x 4N, 2 x 2N, 4 x N, and two processes x 2N.

In float64, rounding cannot hide a mistake. In float32, results are as close as those of another order of the images.
"""

import collections
import dataclasses
import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.methods.swav.gradients import at_once
from seer_tf.methods.swav.state import TrainState
from seer_tf.training.moving_statistics import MovingStatistics
from seer_tf.training.step import reduce_contributions
from tests.equality import NUM_IMAGES, VARIANTS, distances, equality_config, results, results_of
from tests.replicas import replicas, two_replicas
from tests.small_networks import random_crops, shared_out, small_model
from tests.two_processes import run_two_processes

_EXACT = 1e-9
_WORKER = """
import sys
import numpy as np
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
from tests.equality import VARIANTS, equality_config, results, results_of
runs = {variant: results_of(strategy, variant) for variant in VARIANTS}
runs["in float32"], _ = results(strategy, equality_config())
for run, found in runs.items():
    named = {name.replace("/", "|"): value for name, value in found.items()}
    np.savez(f"{sys.argv[1]}/{run}-{strategy.cluster_resolver.task_id}.npz", **named)
"""


@functools.cache
def alone(variant: str) -> dict[str, np.ndarray]:
    return results_of(tf.distribute.get_strategy(), variant)


def too_far(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray], limit: float) -> dict[str, float]:
    return {name: far for name, far in distances(actual, expected).items() if not far <= limit}


@pytest.mark.multi_replica
def test_two_replicas_equal_one_with_the_stated_number_of_reductions() -> None:
    config = equality_config("run.precision=float64")
    # Only this test uses collectives, as training does. No other strategy in this process may use them.
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found, operations = results(strategy, config)
    assert too_far(found, alone("as it is"), _EXACT) == {}

    reductions = collections.Counter(op.device for op in operations if op.type == "CollectiveReduceV2")
    norms = 2 * (1 + 4) + 1  # one for stem and block at each crop size, and one for the head
    codes = 1 + config.swav.sinkhorn_iterations  # the largest score; then the prototypes' sums for both crops together
    others = 3  # all gradients; the loss and the check for finite numbers; the use of prototypes
    assert list(reductions.values()) == 2 * [2 * norms + codes + others]


@pytest.mark.slow
@pytest.mark.multi_replica
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("num_replicas", [2, 4])
def test_replicas_equal_one(num_replicas: int, variant: str) -> None:
    assert too_far(results_of(replicas(num_replicas), variant), alone(variant), _EXACT) == {}


@pytest.fixture(scope="module")
def in_float32() -> tuple[dict[str, np.ndarray], float]:
    """Results of one replica in float32, and the distance of its weights to those from another order of the images."""
    order, config = np.random.default_rng(0).permutation(NUM_IMAGES), equality_config()
    expected, permuted = (results(tf.distribute.get_strategy(), config, order=each)[0] for each in (None, order))
    return expected, weight_distance(permuted, expected)


def assert_no_more_than_another_order(
    found: dict[str, np.ndarray], in_float32: tuple[dict[str, np.ndarray], float]
) -> None:
    expected, noise = in_float32
    far = too_far(found, expected, 1e-5)
    assert {name: each for name, each in far.items() if name in ("codes", "loss") or name.startswith("gradient/")} == {}
    assert weight_distance(found, expected) <= 3 * noise


@pytest.mark.slow
@pytest.mark.multi_replica
@pytest.mark.parametrize("num_replicas", [2, 4])
def test_in_float32_replicas_differ_no_more_than_another_order_of_the_images(
    num_replicas: int, in_float32: tuple[dict[str, np.ndarray], float]
) -> None:
    found, _ = results(replicas(num_replicas), equality_config())
    assert_no_more_than_another_order(found, in_float32)


@pytest.mark.slow
@pytest.mark.two_process
def test_two_processes_equal_one_replica(
    in_float32: tuple[dict[str, np.ndarray], float], tmp_path: pathlib.Path
) -> None:
    run_two_processes(_WORKER, [str(tmp_path)], timeout_seconds=1200)
    for run in (*VARIANTS, "in float32"):
        files = [np.load(tmp_path / f"{run}-{worker}.npz") for worker in (0, 1)]
        workers = [{name.replace("|", "/"): file[name] for name in file.files} for file in files]
        codes = np.concatenate([worker.pop("codes") for worker in workers], axis=1)
        for worker in workers:
            worker["codes"] = codes
            if run == "in float32":
                assert_no_more_than_another_order(worker, in_float32)
            else:
                assert too_far(worker, alone(run), _EXACT) == {}, run


def weight_distance(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """Returns the distance of all weights together, relative to their norm."""
    names = [name for name in distances(actual, expected) if name.startswith("model/")]
    whole, other = (np.concatenate([values[name].ravel() for name in names]) for values in (expected, actual))
    return float(np.linalg.norm(other - whole) / np.linalg.norm(whole))


def test_micro_batches_equal_the_large_batch_without_batch_norm() -> None:
    settings = ("run.precision=float64", "head.batch_norm=false", f"swav.queue_length={2 * NUM_IMAGES}")
    strategy = tf.distribute.get_strategy()
    expected, _ = results(strategy, equality_config(*settings), batch_norm=False)
    found, _ = results(strategy, equality_config(*settings, "run.accumulation_steps=4"), batch_norm=False)
    assert too_far(found, expected, _EXACT) == {}


@pytest.mark.multi_replica
@pytest.mark.parametrize("fault", ["none", "reduced twice", "1/replicas forgotten"])
def test_a_wrong_factor_of_the_gradients_is_found(fault: str) -> None:
    config = equality_config("run.precision=float64", "head.batch_norm=false")

    def gradients(strategy: tf.distribute.Strategy, fault: str) -> list[np.ndarray]:
        with strategy.scope():
            state = TrainState(config, model=small_model(config))

        def of_replica(crops: tuple[tf.Tensor, ...]) -> list[tf.Tensor]:
            statistics = MovingStatistics(state.model)
            own = at_once(state, crops, statistics)
            if fault == "1/replicas forgotten":
                scaled = [gradient * collectives.num_replicas() for gradient in own.scaled]
                own = dataclasses.replace(own, scaled=scaled)
            _, sums, _ = reduce_contributions(state, own, statistics)
            return collectives.all_reduce_in_buckets(sums) if fault == "reduced twice" else sums

        crops = shared_out(random_crops(config, NUM_IMAGES), strategy)
        found = tf.function(lambda crops: strategy.run(of_replica, args=(crops,)), autograph=False)(crops)
        return [strategy.experimental_local_results(gradient)[0].numpy() for gradient in found]

    right = gradients(tf.distribute.get_strategy(), "none")
    found = gradients(two_replicas(), fault)
    far = [np.linalg.norm(one - other) / np.linalg.norm(one) for one, other in zip(right, found, strict=True)]
    assert (max(far) <= _EXACT) == (fault == "none")
