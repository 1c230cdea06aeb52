"""A grid of linear classifiers. The best one on a held-out slice is evaluated on the test set.

Shapes: G settings, M test images.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from seer_tf.errors import InputError
from seer_tf.evaluation.features.labelled import LabelledFeatures
from seer_tf.evaluation.features.rows import Rows, SelectedRows
from seer_tf.evaluation.held_out import held_out
from seer_tf.evaluation.protocols.probe_grid import Batches, ProbeGrid, ProbeRecipe, shuffled_batches


@dataclasses.dataclass(frozen=True, eq=False)
class ChosenProbe:
    """The probe that was chosen from a grid.

    Attributes:
        recipe: Recipe of the training.
        stage: Stage of the chosen probe.
        setting: Learning rate and weight decay of the chosen probe.
        correct: Which test images the chosen probe classifies correctly, bool [M].
        test_top1: Test accuracy of the only setting, by stage, if nothing was held out; otherwise empty.
        held_out_top1: Final accuracies on the held-out slice, [G] by stage; empty if nothing was held out.
        curve: Accuracy of the chosen probe on the held-out slice after each epoch.
        num_fitted: Number of training images that the probe was fitted on.
    """

    recipe: ProbeRecipe
    stage: str
    setting: tuple[float, float]
    correct: np.ndarray
    test_top1: Mapping[str, float]
    held_out_top1: Mapping[str, np.ndarray]
    curve: tuple[float, ...]
    num_fitted: int

    @property
    def top1(self) -> float:
        """Returns the accuracy on the test set, a fraction."""
        return float(self.correct.mean())


def chosen_probe(
    features: LabelledFeatures,
    recipe: ProbeRecipe,
    *,
    seed: int,
    augmented: Callable[[np.ndarray], Batches] | None = None,
) -> ChosenProbe:
    """Trains the grid of a recipe, and evaluates one classifier on the test set.

    Several settings are compared on a held-out slice of the training set, and the test set is used once. A recipe with
    one setting holds nothing out. Then each stage is evaluated on the test set, and the best stage is the result, as in
    VISSL's model zoo.

    Args:
        features: Features of both sets, without augmentation.
        recipe: Recipe of the grid.
        seed: Seed of the initial weights, the order and the slice.
        augmented: Function from numbers of training images, int [n], to batches of their features with augmentation;
            None for the same features in every epoch.

    Raises:
        InputError: There is only one class, or there are too few images to hold some out.
    """
    labels, num_classes = features.train_labels, len(features.class_names)
    if num_classes < 2:
        raise InputError("a linear probe needs training images of at least two classes; give a folder per class")
    is_held_out = held_out(labels, recipe.held_out_fraction, seed=seed)
    if recipe.held_out_fraction and not is_held_out.any():
        raise InputError(
            f"no class has enough training images to hold out a fraction of {recipe.held_out_fraction:g}, and the grid "
            "needs held-out images to choose on; add images, or take `recipe=optimum`"
        )
    fitted = np.flatnonzero(~is_held_out)
    if augmented is not None:
        batches = augmented(fitted)
    else:
        batches = shuffled_batches(_rows(features, fitted), labels[fitted], recipe.batch_size, seed=seed)
    grid = ProbeGrid(features.train.origin.poolings, num_classes, recipe, seed=seed)
    aside = np.flatnonzero(is_held_out)
    grid.fit(batches, len(fitted), held_out=_rows(features, aside), held_out_labels=labels[aside])
    correct = grid.correct(features.test.rows, features.test_labels)
    test_top1 = {} if aside.size else {stage: float(right[0].mean()) for stage, right in correct.items()}
    stage, number = grid.best() if aside.size else (max(test_top1, key=lambda stage: test_top1[stage]), 0)
    return ChosenProbe(
        recipe=recipe,
        stage=stage,
        setting=recipe.settings[number],
        correct=correct[stage][number],
        test_top1=test_top1,
        held_out_top1=grid.curve[-1] if grid.curve else {},
        curve=tuple(float(shares[stage][number]) for shares in grid.curve),
        num_fitted=len(fitted),
    )


def _rows(features: LabelledFeatures, numbers: np.ndarray) -> dict[str, Rows]:
    return {stage: SelectedRows(rows, numbers) for stage, rows in features.train.rows.items()}
