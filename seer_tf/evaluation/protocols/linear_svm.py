"""VOC07's protocol: a linear support vector machine for each class, with a cross-validated cost; mean AP.

It follows VISSL's `svm_trainer.py` and `voc07/eval_resnet_8gpu_transfer_voc07_svm.yaml`, and uses the same solver,
scikit-learn's `LinearSVC`. An image may have several classes. If it is not known whether an image has a class, as where
VOC marks all its objects as difficult, the image is negative in training and not in that class's test, as in VISSL.

Shapes: N training images, M test images, D numbers of a feature, L classes.
"""

import dataclasses
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC
from sklearn.utils.parallel import Parallel, delayed

from seer_tf.errors import InputError
from seer_tf.evaluation.features.label_rows import PRESENT, UNKNOWN
from seer_tf.parallel import num_cores
from seer_tf.progress import Progress

COSTS = (0.01, 0.1, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 50.0, 100.0, 1000.0)
NUM_FOLDS = 3

_MAX_ITERATIONS = 2000
_POSITIVE_WEIGHT = 2
_EPSILON = 1e-5  # added to the norm of a feature


@dataclasses.dataclass(frozen=True, eq=False)
class ClassMachines:
    """Results of the machines of all classes.

    Attributes:
        scores: Distances from the planes, float64 [M, L].
        costs: Chosen costs, [L].
        cross_validated: Mean average precision over the folds at the chosen costs, [L].
    """

    scores: np.ndarray
    costs: np.ndarray
    cross_validated: np.ndarray


def linear_svm(
    train: np.ndarray, train_matrix: np.ndarray, test: np.ndarray, *, costs: Sequence[float] = COSTS
) -> ClassMachines:
    """Fits a machine for each class and scores the test images.

    Args:
        train: Float [N, D].
        train_matrix: Which classes each image has, int8 [N, L] of `LabelRows`.
        test: Float [M, D].
        costs: Costs to choose from.

    Raises:
        InputError: There are fewer images with a class, or without it, than folds.
    """
    is_present = train_matrix == PRESENT
    num_with = is_present.sum(axis=0)  # [L]
    few = np.flatnonzero(np.minimum(num_with, len(train) - num_with) < NUM_FOLDS)
    if few.size:
        raise InputError(
            f"class number {few[0]} is in {num_with[few[0]]} of {len(train)} training images, and {NUM_FOLDS}-fold "
            f"cross-validation needs {NUM_FOLDS} with it and {NUM_FOLDS} without; add images, or leave the class out"
        )
    train, test = _normalized(train), _normalized(test)

    labels = np.where(is_present, 1, -1).T  # [L, N]
    # Processes, not threads, because threads would share one random number generator inside the solver. The tasks are
    # scikit-learn's own functions, so that the processes need not import TensorFlow.
    parallel = Parallel(n_jobs=min(num_cores(), len(labels)), return_as="generator")
    with Progress(len(labels) * (len(costs) + 1), "fit", "linear SVM") as progress, warnings.catch_warnings():
        # With costs as high as 1,000 the solver does not converge within the protocol's number of iterations.
        warnings.simplefilter("ignore", ConvergenceWarning)

        def results(tasks: Iterable[tuple]) -> Iterator[Any]:
            for result in parallel(tasks):
                progress.advance()
                yield result

        validate, fit = delayed(cross_val_score), delayed(LinearSVC.fit)
        precisions = [
            fold_precisions.mean()
            for fold_precisions in results(
                validate(_machine(cost), train, of_class, cv=NUM_FOLDS, scoring="average_precision")
                for of_class, cost in itertools.product(labels, costs)
            )
        ]
        cross_validated = np.reshape(precisions, [len(labels), len(costs)])  # [L, costs]
        chosen = np.array(costs)[cross_validated.argmax(axis=1)]  # [L]
        machines = results(fit(_machine(cost), train, y) for y, cost in zip(labels, chosen, strict=True))
        scores = [machine.decision_function(test) for machine in machines]
    return ClassMachines(np.stack(scores, axis=1), chosen, cross_validated.max(axis=1))


def average_precision(is_relevant: np.ndarray, scores: np.ndarray) -> float:
    """Returns the area under the precision-recall curve. At each recall, the best precision at it or beyond counts.

    VISSL's `svm_utils/evaluate.py` computes the same. It is VOC's rule since 2010; the rule of 2007 used eleven points.

    Args:
        is_relevant: Bool [M], true for at least one image.
        scores: [M].
    """
    right = is_relevant[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[right].mean())  # recall rises by the same step at each relevant image


def mean_average_precision(matrix: np.ndarray, scores: np.ndarray) -> float:
    """Returns the mean of the average precision over the classes that at least one image has.

    Args:
        matrix: Which classes each image has, int8 [M, L] of `LabelRows`.
        scores: [M, L].
    """
    return float(np.mean(list(average_precisions(matrix, scores).values())))


def average_precisions(matrix: np.ndarray, scores: np.ndarray) -> dict[int, float]:
    """Returns the average precision of each class that is in some image, over the images for which it is known.

    Args:
        matrix: Which classes each image has, int8 [M, L] of `LabelRows`.
        scores: [M, L].
    """
    found = {}
    for number in np.flatnonzero((matrix == PRESENT).any(axis=0)).tolist():
        known = matrix[:, number] != UNKNOWN
        found[number] = average_precision(matrix[known, number] == PRESENT, scores[known, number])
    return found


def _machine(cost: float) -> LinearSVC:
    return LinearSVC(
        C=cost,
        class_weight={1: _POSITIVE_WEIGHT, -1: 1},
        penalty="l2",
        loss="squared_hinge",
        dual=True,
        tol=1e-4,
        max_iter=_MAX_ITERATIONS,
        random_state=0,
    )


def _normalized(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float64)
    return features / (np.linalg.norm(features, axis=1, keepdims=True) + _EPSILON)
