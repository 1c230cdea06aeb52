"""k-NN against an oracle from its equations, against scikit-learn, and against what cannot be otherwise."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from seer_tf.errors import InputError
from seer_tf.evaluation import knn
from seer_tf.evaluation.knn import knn_accuracy, nearest
from tests.references.knn import knn_predictions

_KS = (1, 3, 10, 40)
_NUM_CLASSES = 5


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bank, its labels, queries, their labels, in several chunks each; lengths differ and classes overlap."""
    monkeypatch.setattr(knn, "_QUERIES_PER_CHUNK", 16)
    monkeypatch.setattr(knn, "_BANK_PER_CHUNK", 27)
    generator = np.random.default_rng(3)
    centres = generator.normal(size=[_NUM_CLASSES, 8])
    bank_labels, query_labels = (generator.integers(0, _NUM_CLASSES, size) for size in (100, 60))
    bank, queries = (centres[y] + generator.normal(0, 1.5, [len(y), 8]) for y in (bank_labels, query_labels))
    bank *= generator.uniform(0.1, 10, [100, 1])
    return bank.astype(np.float32), bank_labels, queries.astype(np.float32), query_labels


def test_weighted_votes_equal_the_oracle(features):
    """At a temperature at which weights decide: fails if similarity is not cosine, or weights or chunks are dropped."""
    bank, bank_labels, queries, query_labels = features
    accuracies = knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=_KS, temperature=0.07)
    assert sorted(accuracies) == sorted(_KS)
    for k in _KS:
        oracle = knn_predictions(bank, bank_labels, queries, k=k, temperature=0.07, num_classes=_NUM_CLASSES)
        assert accuracies[k] == pytest.approx(np.mean(oracle == query_labels))
    assert accuracies[40] != knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=[40], temperature=np.inf)[40]


def test_unweighted_votes_equal_scikit_learn(features):
    """With an infinite temperature every neighbour weighs the same."""
    bank, bank_labels, queries, query_labels = features
    accuracies = knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=_KS, temperature=np.inf)
    for k in _KS:
        reference = KNeighborsClassifier(k, metric="cosine").fit(bank, bank_labels)
        assert accuracies[k] == pytest.approx(reference.score(queries, query_labels))


def test_nearest_is_sorted_and_prefers_the_earlier_of_equals(features):
    """The bank holds every image twice, in other chunks; of signs, so that equals are equal to the bit."""
    signs = np.sign(features[0][:, :4])
    bank, queries = np.concatenate([signs, signs]), np.sign(features[2][:, :4])
    similarities, positions = nearest(bank, queries, 50)
    expected = queries @ bank.T / 4
    order = np.argsort(-expected, axis=1, kind="stable")[:, :50]
    np.testing.assert_array_equal(positions, order)
    np.testing.assert_array_equal(similarities, np.take_along_axis(expected, order, axis=1))


def test_an_image_is_nearest_to_itself(features):
    """Also when its features are a hundred times as long."""
    bank = features[0]
    similarities, positions = nearest(bank, 100 * bank, 1)
    np.testing.assert_array_equal(positions[:, 0], np.arange(len(bank)))
    np.testing.assert_allclose(similarities, 1.0, rtol=1e-5)


def test_a_low_temperature_does_not_overflow(features):
    """exp(1 / 0.001) is not a float32."""
    low = knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=[10], temperature=1e-3)
    assert low[10] == pytest.approx(knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=[1])[1], abs=0.05)


def test_ks_larger_than_the_bank_are_left_out(features):
    """And if that is all of them, there is an error that says so."""
    assert list(knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=(10, 101))) == [10]
    with pytest.raises(InputError, match="needs as many training images, not 100"):
        knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=(101, 200))
    with pytest.raises(InputError, match="bank of 100 images"):
        nearest(features[0], features[2], 101)


def test_features_of_two_models_are_refused(features):
    """Their channels differ in number."""
    with pytest.raises(InputError, match="8 channels and the queries 7"):
        nearest(features[0], features[2][:, :7], 1)
