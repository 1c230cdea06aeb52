"""A linear classifier on frozen features.

The classifier is a multinomial logistic regression on standardised features. scikit-learn's L-BFGS fits it to its
optimum. The problem is convex, so every run finds the same answer, with no learning rate, epochs or batch size to tune.
At the sizes of a laptop this takes seconds. VISSL's protocol, which uses SGD, is in `probe_grid.py`. Do not compare the
numbers of the two protocols.
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
"""The objective is mean cross-entropy + weight_decay / 2 * |weights|^2, on features with unit variance."""

_HELD_OUT_FRACTION = 0.2
_MAX_ITERATIONS = 300


@dataclasses.dataclass(frozen=True, eq=False)
class LinearProbe:
    """Result of a linear probe.

    Attributes:
        correct: Which test images are classified correctly, bool [M].
        weight_decay: Chosen weight decay.
        held_out_top1: Accuracy on the held-out slice by weight decay; empty if there was only one weight decay.
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
    """Fits on the training features and measures the accuracy on the test features.

    Each weight decay is fitted on four fifths of the training set and compared on the last fifth; of two equals, the
    stronger is chosen. The whole training set is then fitted again with the chosen weight decay. If there is only one
    weight decay, nothing is held out. The test set is used once.

    Args:
        train: Float [N, C].
        train_labels: Int [N].
        test: Float [M, C].
        test_labels: Int [M].
        weight_decays: Weight decays to choose from.

    Returns:
        Correctly classified test images, the chosen weight decay and the accuracies on the held-out slice.

    Raises:
        InputError: The training set has fewer than two classes, or too few images to hold one out.
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
    # A constant channel carries no information; dividing it by one leaves it at zero.
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
    # One thread: the products are small, and BLAS's threads, which wait by spinning, make them ten times slower.
    with warnings.catch_warnings(), threadpoolctl.threadpool_limits(1):
        # A fit that ran out of iterations was stopped early; the held-out slice judges it like any other fit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Integer labels are classes, even if each class has only a few images.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return probe.fit(features, labels)
