"""A linear classifier on frozen features: how much of the classes can be read off them by a plane.

Multinomial logistic regression on standardised features, fitted to its optimum by scikit-learn's L-BFGS rather than by
SGD: the problem is convex, so there is one answer, the same on every run and without learning rate, epochs or batch
size to tune, and at the sizes of a laptop it is found in seconds. VISSL's protocol, and a grid of it, is
`probe_grid.py`; the numbers of one should not be set beside those of the other.
"""

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np
import threadpoolctl
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from seer_tf.errors import InputError
from seer_tf.evaluation.held_out import held_out
from seer_tf.progress import Progress

# N images, C feature channels
WEIGHT_DECAYS = (1e-1, 1e-2, 1e-3, 1e-4)
"""Per image: the objective is mean cross-entropy + weight_decay / 2 * |weights|^2, on features of unit variance."""

_HELD_OUT_FRACTION = 0.2
_MAX_ITERATIONS = 300


@dataclasses.dataclass(frozen=True, eq=False)
class LinearProbe:
    """What the probe found.

    Attributes:
        correct: Which test images are classified right, bool [M].
        weight_decay: The one chosen.
        held_out_top1: Accuracy of every weight decay on the held-out slice of the training set; empty of a single one.
    """

    correct: np.ndarray
    weight_decay: float
    held_out_top1: dict[float, float]

    @property
    def top1(self) -> float:
        """Returns the accuracy on the test set, a fraction."""
        return float(np.mean(self.correct))


def linear_probe(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    *,
    weight_decays: Sequence[float] = WEIGHT_DECAYS,
) -> LinearProbe:
    """Fits on the training features and reads the accuracy on the test features.

    The weight decay is the one with the best accuracy on a fifth of the training set (the stronger of two equals),
    fitted on the other four; with it the whole training set is fitted again. Where there is one to choose from, nothing
    is held out. The test set is looked at once.

    Args:
        train: Float [N, C].
        train_labels: Int [N].
        test: Float [M, C].
        test_labels: Int [M].
        weight_decays: The grid.

    Returns:
        Accuracy, the chosen weight decay and the grid's accuracies.

    Raises:
        InputError: the training set has fewer than two classes, or hardly any images to choose by.
    """
    if len(np.unique(train_labels)) < 2:
        raise InputError("a linear probe needs training images of at least two classes; give a folder per class")
    slice_ = held_out(train_labels, _HELD_OUT_FRACTION)  # [N]
    to_compare = sorted(weight_decays, reverse=True) if len(weight_decays) > 1 else []
    if to_compare and not slice_.any():
        raise InputError(
            "a linear probe needs at least three training images in some class to hold one out; add images"
        )
    mean, std = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    # A channel that never varies says nothing; dividing by one leaves it at zero.
    train, test = (((x - mean) / np.where(std > 0, std, 1.0)).astype(np.float32) for x in (train, test))
    held_out_top1 = {}
    with Progress(len(to_compare) + 1, "fit", "linear probe") as progress:
        for weight_decay in to_compare:
            probe = _fit(train[~slice_], train_labels[~slice_], weight_decay)
            held_out_top1[weight_decay] = float(np.mean(probe.predict(train[slice_]) == train_labels[slice_]))
            progress.advance()
        chosen = max(held_out_top1 or weight_decays, key=lambda weight_decay: held_out_top1.get(weight_decay, 0.0))
        probe = _fit(train, train_labels, chosen)
        progress.advance()
    return LinearProbe(probe.predict(test) == test_labels, chosen, held_out_top1)


def _fit(features: np.ndarray, labels: np.ndarray, weight_decay: float) -> LogisticRegression:
    # scikit-learn's C multiplies the sum of the losses, so C = 1 / (weight decay * N).
    probe = LogisticRegression(C=1.0 / (weight_decay * len(features)), max_iter=_MAX_ITERATIONS)
    # One thread: these products are small, and BLAS's threads wait for each other by spinning, ten times slower here.
    with warnings.catch_warnings(), threadpoolctl.threadpool_limits(1):
        # A fit that ran out of iterations is one stopped early; the held-out slice judges it like any other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Whole numbers as labels are classes, however few images each of them has.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return probe.fit(features, labels)
