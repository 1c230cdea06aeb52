"""VOC07's protocol: average precision by hand, scikit-learn's SVM, and several classes in one image."""

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC

from seer_tf.errors import InputError
from seer_tf.evaluation.protocols.linear_svm import average_precision, linear_svm, mean_average_precision

_COSTS = (0.01, 1.0, 10.0)


def _part(num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns features of any length with two independent classes."""
    generator = np.random.default_rng(seed)
    matrix = generator.uniform(size=[num_images, 2]) < (0.3, 0.5)
    features = generator.normal(size=[num_images, 6]) + 1.5 * matrix @ np.eye(2, 6)
    return (features * generator.uniform(0.1, 10, [num_images, 1])).astype(np.float32), matrix


def _reference(cost: float) -> LinearSVC:
    """Returns the solver with VISSL's arguments. scikit-learn's default here would be the primal problem."""
    return LinearSVC(C=cost, class_weight={1: 2, -1: 1}, dual=True, max_iter=2000, random_state=0)


def test_average_precision_by_hand():
    """The relevant images have ranks 2, 3 and 6, so the precisions are 1/2, 2/3 and 1/2.

    The first precision is raised to the second.
    """
    is_relevant = np.array([False, True, True, False, False, True])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert average_precision(is_relevant, scores) == pytest.approx((2 / 3 + 2 / 3 + 1 / 2) / 3)
    assert average_precision(is_relevant, -scores) == pytest.approx((1 + 3 / 5 + 3 / 5) / 3)


def test_the_mean_is_over_classes_with_test_images():
    """A class without a test image has no precision."""
    matrix, scores = np.array([[True, False], [False, False]]), np.array([[1.0, 3.0], [2.0, 1.0]])
    assert mean_average_precision(matrix, scores) == 0.5


def test_images_with_an_unknown_class_do_not_count_for_this_class():
    """VOC's difficult objects are such images. The second of two images with high scores does not count."""
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    matrix = np.array([[1, 0], [-1, 0], [1, 0], [0, 0]], np.int8)
    assert mean_average_precision(matrix, scores) == 1.0
    assert mean_average_precision(np.where(matrix == -1, 0, matrix), scores) == pytest.approx((1 + 2 / 3) / 2)


def test_unknown_classes_are_negatives_in_training():
    """VISSL's `train_cls` does the same."""
    (train, matrix), (test, _) = _part(60, 0), _part(10, 1)
    found = linear_svm(train, np.where(matrix, 1, -1).astype(np.int8), test, costs=(1.0,))
    np.testing.assert_array_equal(found.scores, linear_svm(train, matrix, test, costs=(1.0,)).scores)


def test_the_svms_equal_scikit_learns_with_the_protocols_arguments():
    """The test fails without normalisation, without the weight of positives, or with another choice of the cost."""
    (train, matrix), (test, test_matrix) = _part(120, 0), _part(60, 1)
    found = linear_svm(train, matrix, test, costs=_COSTS)
    unit, unit_test = (x / (np.linalg.norm(x.astype(float), axis=1, keepdims=True) + 1e-5) for x in (train, test))
    for number in range(2):
        labels = np.where(matrix[:, number], 1, -1)
        machines = [_reference(c) for c in _COSTS]
        means = [cross_val_score(m, unit, labels, cv=3, scoring="average_precision").mean() for m in machines]
        best = int(np.argmax(means))
        assert found.costs[number] == _COSTS[best]
        assert found.cross_validated[number] == pytest.approx(means[best])
        expected = machines[best].fit(unit, labels).decision_function(unit_test)
        np.testing.assert_allclose(found.scores[:, number], expected, rtol=1e-6)
    assert mean_average_precision(test_matrix, found.scores) > 0.7


def test_a_class_too_rare_for_the_folds_is_refused():
    """The same holds for a class that is too common."""
    train, matrix = _part(30, 0)
    matrix[:, 1] = np.arange(30) < 2
    with pytest.raises(InputError, match="class number 1 is in 2 of 30 training images"):
        linear_svm(train, matrix, train)
    with pytest.raises(InputError, match="class number 1 is in 28 of 30"):
        linear_svm(train, np.stack([matrix[:, 0], ~matrix[:, 1]], axis=1), train)
