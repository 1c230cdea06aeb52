"""The linear probe: the optimum of its objective, its choice of the weight decay, and its invariants."""

import numpy as np
import pytest

from seer_tf.errors import InputError
from seer_tf.evaluation.protocols import linear_probe as module
from seer_tf.evaluation.protocols.linear_probe import linear_probe


def _classes(num_images: int, seed: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Returns three overlapping classes in six channels, float32 and int."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, num_images)
    centres = np.random.default_rng(99).normal(0, scale, [3, 6])
    return (centres[labels] + generator.normal(size=[num_images, 6])).astype(np.float32), labels


def test_the_fit_is_the_optimum_of_the_stated_objective():
    """The objective is mean cross-entropy + weight_decay / 2 |W|^2.

    At the optimum, mean((p - y) x) + weight_decay W is zero.
    """
    features, labels = _classes(300, seed=0)
    features = (features - features.mean(0)) / features.std(0)
    fitted = module._fit(features, labels, weight_decay=0.05)
    errors = fitted.predict_proba(features) - np.eye(3)[labels]  # [N, classes]
    gradient = errors.T @ features / len(features) + 0.05 * fitted.coef_
    assert np.abs(gradient).max() < 1e-4
    assert np.abs(0.05 * fitted.coef_).max() > 1e-2


def test_the_accuracy_is_near_the_bayes_accuracy():
    """The Bayes classifier of these Gaussians is linear and known."""
    train, test = _classes(2000, seed=1), _classes(2000, seed=2)
    centres = np.random.default_rng(99).normal(0, 1, [3, 6])
    bayes = ((test[0][:, None] - centres) ** 2).sum(-1).argmin(-1)
    assert linear_probe(*train, *test).top1 == pytest.approx(np.mean(bayes == test[1]), abs=0.02)


def test_random_labels_give_chance():
    """The test fails if the test labels influence the fit."""
    generator = np.random.default_rng(4)
    features, labels = generator.normal(size=[2000, 6]), generator.integers(0, 3, 2000)
    probe = linear_probe(features[:1000], labels[:1000], features[1000:], labels[1000:])
    assert probe.top1 == pytest.approx(1 / 3, abs=0.05)


def test_scale_and_offset_of_a_channel_do_not_matter():
    """The test fails without standardisation, or with the standardisation of the test set."""
    train, test = _classes(400, seed=1, scale=0.7), _classes(50, seed=2, scale=0.7)
    scale, offset = np.array([1e-3, 1, 1e3, 1, 30, 0]), np.array([5, 0, -40, 1, 0, 3])
    plain = linear_probe(train[0] * (scale > 0), train[1], test[0] * (scale > 0), test[1])
    scaled = linear_probe(train[0] * scale + offset, train[1], test[0] * scale + offset, test[1])
    assert scaled.top1 == pytest.approx(plain.top1, abs=0.021)
    assert scaled.top1 > 0.55
    one_by_one = [linear_probe(*train, test[0][i : i + 1], test[1][i : i + 1]).top1 for i in range(5)]
    assert np.mean(one_by_one) == pytest.approx(linear_probe(*train, test[0][:5], test[1][:5]).top1)


def test_the_weight_decay_is_the_best_on_the_held_out_slice():
    """There are few images in many channels of noise, so the middle weight decay wins.

    The test set has no influence.
    """
    generator, weight_decays = np.random.default_rng(5), (1e-6, 1.0, 10.0)
    labels = generator.integers(0, 2, 300)
    features = generator.normal(size=[300, 250])
    features[:, :20] += 0.4 * labels[:, None]
    probe = linear_probe(features, labels, features[:1], labels[:1], weight_decays=weight_decays)
    other = linear_probe(features, labels, features[:1], 1 - labels[:1], weight_decays=weight_decays)
    assert probe.weight_decay == max(probe.held_out_top1, key=probe.held_out_top1.__getitem__) == 1.0
    assert (other.weight_decay, other.held_out_top1) == (probe.weight_decay, probe.held_out_top1)
    assert probe.held_out_top1[1.0] < 1.0  # the slice was not in the fit


def test_the_probe_is_deterministic():
    """The results are equal to the bit."""
    train, test = _classes(300, seed=1), _classes(300, seed=2)
    one, other = linear_probe(*train, *test), linear_probe(*train, *test)
    np.testing.assert_array_equal(one.correct, other.correct)
    assert one.held_out_top1 == other.held_out_top1


@pytest.mark.parametrize(
    ("labels", "text"), [([4, 4, 4, 4], "at least two classes"), ([0, 0, 1, 1], "at least three training images")]
)
def test_too_few_classes_or_images_are_refused(labels, text):
    """There is only one class, or no class has an image to hold out."""
    features = np.random.default_rng(0).normal(size=[4, 2])
    with pytest.raises(InputError, match=text):
        linear_probe(features, np.array(labels), features, np.array(labels))
