"""Retrieval equals scikit-learn's average precision and a direct count."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from seer_tf.errors import InputError
from seer_tf.evaluation.protocols import retrieval as module
from seer_tf.evaluation.protocols.retrieval import retrieval


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Splits the queries into several chunks, and the bank into several pieces."""
    monkeypatch.setattr(module, "_SIMILARITIES", 7 * 60)
    monkeypatch.setattr(module, "_BANK_BYTES", 4 * 5 * 13)


def _part(num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns four overlapping classes. Lengths of features differ."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, num_images)
    features = generator.normal(size=[num_images, 5]) + 1.5 * np.eye(4, 5)[labels]
    return (features * generator.uniform(0.1, 10, [num_images, 1])).astype(np.float32), labels


def _cosines(bank: np.ndarray, queries: np.ndarray) -> np.ndarray:
    bank, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (bank, queries))
    return queries @ bank.T


def test_average_precision_equals_scikit_learns():
    """Every query has scikit-learn's average precision.

    Recall equals the fraction of queries with an image of their class among the nearest k.
    """
    (bank, bank_labels), (queries, query_labels) = _part(60, 0), _part(25, 1)
    found = retrieval(bank, bank_labels, queries, query_labels)
    cosines = _cosines(bank, queries)
    expected = [average_precision_score(bank_labels == y, row) for y, row in zip(query_labels, cosines, strict=True)]
    np.testing.assert_allclose(found.average_precisions, expected, rtol=1e-6)
    for k, hits in found.hits.items():
        nearest = bank_labels[np.argsort(-cosines, axis=1)[:, :k]]
        assert hits.tolist() == (nearest == query_labels[:, None]).any(axis=1).tolist()
    assert 0 < found.hits[1].mean() < found.hits[5].mean() <= 1


def test_an_image_does_not_find_itself():
    """The queries are also the bank."""
    features, labels = _part(40, 0)
    labels[7] = 99  # the only image of its class
    found = retrieval(features, labels, features, labels, is_same_set=True)
    cosines = _cosines(features, features)
    np.fill_diagonal(cosines, -2)
    others = np.delete(np.arange(40), 7)
    expected = [average_precision_score(np.delete(labels == labels[i], i), np.delete(cosines[i], i)) for i in others]
    assert found.queries.tolist() == others.tolist()
    np.testing.assert_allclose(found.average_precisions, expected, rtol=1e-6)


def test_equal_images_share_a_rank():
    """The order of equal images in the bank does not matter."""
    bank, query = np.eye(5, dtype=np.float32)[[0, 0, 1]], np.eye(5, dtype=np.float32)[:1]
    for labels in ([5, 6, 6], [6, 5, 6]):
        assert retrieval(bank, np.array(labels), query, np.array([5])).average_precisions.tolist() == [0.5]


def test_classes_without_another_image_are_refused():
    """A query without another image of its class has nothing to find."""
    features, _ = _part(4, 0)
    with pytest.raises(InputError, match="no query has another image of its class"):
        retrieval(features, np.arange(4), features, np.arange(4), is_same_set=True)
