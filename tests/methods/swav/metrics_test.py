"""The metrics of a step and of an interval equal NumPy's."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.methods.swav import metrics
from seer_tf.methods.swav.gradients import Gradients
from seer_tf.methods.swav.state import TrainState
from seer_tf.pretraining.recipes import recipe
from seer_tf.training import metrics as run_metrics


@pytest.fixture(scope="module")
def state() -> TrainState:
    return TrainState(recipe("debug_tiny"))


def gradients_of(state: TrainState) -> list[tf.Tensor]:
    random = np.random.default_rng(1)
    return [tf.constant(random.normal(size=v.shape), tf.float32) for v in state.model.trainable_variables]


def part_of(path: str) -> str:
    return "prototypes" if path == "head/prototypes" else "head" if path.startswith("head/") else "backbone"


def norm(tensors: list) -> float:
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(tensor, np.float64))) for tensor in tensors)))


def test_the_metrics_of_a_step_equal_numpys(state: TrainState) -> None:
    random = np.random.default_rng(0)
    scores = random.uniform(-1, 1, (4, 6, 8))  # [V, B, K]
    codes = random.dirichlet(np.ones(8), (2, 6))  # [A, B, K]
    crops = (random.integers(0, 256, (6, 2, 8, 8, 3)).astype(np.uint8), np.zeros((6, 2, 4, 4, 3), np.uint8))
    own = Gradients(tf.constant(0.0), [], tf.constant(scores), tf.constant(codes), tf.zeros([2, 6, 16]))
    actual = metrics.of_step(state.config, own, tuple(tf.constant(group) for group in crops))

    predictions = np.exp(scores / 0.1) / np.exp(scores / 0.1).sum(axis=-1, keepdims=True)
    nearest = scores.argmax(axis=-1)
    pairs = [(nearest[one] == nearest[two]).mean() for one in range(4) for two in range(4) if one != two]
    expected = {
        "prototypes/entropy_of_codes": -(codes * np.log(codes)).sum(axis=-1).mean() / np.log(8),
        "prototypes/entropy_of_predictions": -(predictions * np.log(predictions)).sum(axis=-1).mean() / np.log(8),
        "prototypes/agreement_of_views": np.mean(pairs),
        "prototypes/share_in_use": len(np.unique(codes.argmax(axis=-1))) / 8,
        "prototypes/largest_share": np.bincount(nearest.ravel()).max() / 24,
        "training/mean_pixel": crops[0][:, 0].mean(),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-5, err_msg=name)
    assert actual.keys() == expected.keys()


def test_the_metrics_of_an_update_equal_numpys(state: TrainState) -> None:
    """The metrics are norms of all variables and of each part, and quantiles of the trust ratios."""
    weights, gradients = state.model.trainable_variables, gradients_of(state)
    # The first step has no learning rate yet.
    state.optimizer.apply_reduced(gradients, weights, finite=tf.constant(True))
    before, learning_rate = [weight.numpy() for weight in weights], float(state.optimizer.learning_rate)
    assert learning_rate > 0
    applied = state.optimizer.apply_reduced(gradients, weights, finite=tf.constant(True))
    actual = metrics.of_update(state, tf.constant(learning_rate), applied)

    moved = [new - old for old, new in zip(before, weights, strict=True)]
    for part in (None, *metrics.PARTS):
        places = [place for place, weight in enumerate(weights) if part in (None, part_of(weight.path))]
        of_gradients, of_moved, of_weights = (
            norm([tensors[place] for place in places]) for tensors in (gradients, moved, before)
        )
        end = f"_{part}" if part else ""
        np.testing.assert_allclose(actual[f"training/gradients/norm{end}"], of_gradients, rtol=1e-5, err_msg=end)
        np.testing.assert_allclose(actual[f"training/updates/norm{end}"], of_moved, rtol=1e-3, err_msg=end)
        relative = actual[f"training/updates/relative_to_weights{end}"]
        np.testing.assert_allclose(relative, of_moved / of_weights, rtol=1e-3, err_msg=end)

    ratios = sorted(
        0.001 * norm([weight]) / (norm([gradient]) + 1e-6 * norm([weight]) + 1e-8) if norm([weight]) else 1.0
        for weight, gradient in zip(before, gradients, strict=True)
    )
    shares = {"min": 0, "lower_quartile": 1 / 4, "median": 1 / 2, "upper_quartile": 3 / 4, "max": 1}
    for name, share in shares.items():
        place = round((len(ratios) - 1) * share)
        np.testing.assert_allclose(actual[f"training/trust_ratio/{name}"], ratios[place], rtol=1e-5, err_msg=name)


def test_an_interval_has_the_mean_of_the_steps_that_were_not_skipped() -> None:
    config = configs.override(recipe("debug_tiny"), ["head.num_prototypes=20", "data.global_batch_size=8"])
    steps = {
        "loss": np.array([2.0, np.nan, 1.0]),
        "first_bad": np.array([-1, 4, -1]),
        "skipped_in_a_row": np.array([0, 1, 0]),
        "loss_scale": np.array([4.0, 2.0, 2.0]),
        "learning_rate": np.array([0.1, 0.2, 0.3]),
        "seconds_waiting": np.array([0.1, 0.2, 0.3]),
        "training/gradients/norm": np.array([3.0, np.inf, 5.0]),
        "training/mean_pixel": np.array([7.0, 7.0, 8.0]),
    }
    numbers = metrics.of_interval(steps, 2.0, config)
    assert numbers.pop("system/host_peak_gib") > 0.1
    assert numbers == pytest.approx(
        {
            "loss/loss": 1.5,
            "loss/relative_to_ln_K": 1.5 / np.log(20),
            "training/gradients/norm": 4.0,
            "training/learning_rate": 0.3,
            "training/loss_scale": 2.0,
            "training/skipped_steps": 1,
            "training/distinct_batches": 2,
            "system/images_per_second": 12,
            "system/share_of_time_waiting_for_data": 0.3,
            "system/seconds_per_step": 2 / 3,
        }
    )
    assert run_metrics.first_bad(steps, 10, ["a"] * 4 + ["the loss"]) == (11, "the loss")
    assert run_metrics.first_bad({"first_bad": np.array([-1.0])}, 10, []) is None
