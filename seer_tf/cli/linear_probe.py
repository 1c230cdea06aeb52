"""Fits linear classifiers on frozen features of a training set and reads their accuracy on a test set."""

from collections.abc import Callable

import numpy as np
from absl import flags

from seer_tf.cli import evaluation_flags, feature_flags
from seer_tf.cli.evaluation_flags import TEST_DATA, TRAIN_DATA
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.errors import InputError
from seer_tf.evaluation.features.augmented import augmented_batches
from seer_tf.evaluation.features.fingerprints import check_other_images
from seer_tf.evaluation.features.labelled import LabelledFeatures, labelled_features
from seer_tf.evaluation.protocols.chosen_probe import ChosenProbe, chosen_probe
from seer_tf.evaluation.protocols.linear_probe import linear_probe
from seer_tf.evaluation.protocols.probe_grid import RECIPES, Batches, ProbeRecipe, probe_recipe
from seer_tf.evaluation.result import mean_interval

_OPTIMUM = "optimum"
RECIPE = flags.DEFINE_enum(
    "recipe", "grid", [*RECIPES, _OPTIMUM], f"How the classifiers are fitted; {_OPTIMUM} is by scikit-learn's L-BFGS."
)

flags.adopt_module_key_flags(feature_flags)
flags.adopt_module_key_flags(evaluation_flags)


def main() -> None:
    """Runs the command."""
    if RECIPE.value == _OPTIMUM:
        _optimum(evaluation_flags.labelled())
        return
    recipe = probe_recipe(RECIPE.value)
    if recipe.is_augmented:
        features, augmented = _augmented(recipe)
    else:
        features, augmented = evaluation_flags.labelled(), None
    _report(features, chosen_probe(features, recipe, seed=evaluation_flags.SEED.value, augmented=augmented))


def _augmented(recipe: ProbeRecipe) -> tuple[LabelledFeatures, Callable[[np.ndarray], Batches]]:
    """Returns the test features, and a function from numbers of training images to batches of features of crops."""
    if not feature_flags.is_given():
        raise InputError(f"--recipe={RECIPE.value} crops images anew in each epoch; give --model, and images")
    evaluation_flags.check_places()
    extractor = feature_flags.extractor()
    train, test = open_source(TRAIN_DATA.value), open_source(TEST_DATA.value)
    labelled_features(extractor.announce(train, TRAIN_DATA.value), extractor.announce(test, TEST_DATA.value))
    check_other_images(train, test)
    features = labelled_features(
        extractor.leave(train, TRAIN_DATA.value), extractor.extract(test, TEST_DATA.value, label="test images")
    )

    def batches(numbers: np.ndarray) -> Batches:
        labels, seed = features.train_labels[numbers], evaluation_flags.SEED.value
        return augmented_batches(extractor, Selection(train, numbers), labels, recipe.batch_size, seed=seed)

    return features, batches


def _report(features: LabelledFeatures, probe: ChosenProbe) -> None:
    recipe, (rate, decay) = probe.recipe, probe.setting
    how = "random crops and flips" if recipe.is_augmented else "centre crops"
    outcome = evaluation_flags.outcome(
        features.train,
        features.test,
        num_classes=len(features.class_names),
        evaluation="linear_probe",
        protocol=(
            f"{RECIPE.value}: {recipe.epochs} epochs of {how}, SGD, learning rate {rate:g} per 256, weight decay "
            f"{decay:g}, fitted on {probe.num_fitted:,}; {evaluation_flags.described(features.test, probe.stage)}"
        ),
        metric="top-1",
        value=probe.top1,
        interval=mean_interval(probe.correct, seed=evaluation_flags.SEED.value),
        details={
            "recipe": RECIPE.value,
            "top1": probe.top1,
            "stage": probe.stage,
            "learning_rate": rate,
            "weight_decay": decay,
            "test_top1": dict(probe.test_top1),
            "settings": [list(setting) for setting in recipe.settings],
            "held_out_top1": {stage: shares.tolist() for stage, shares in probe.held_out_top1.items()},
            "curve": list(probe.curve),
        },
    )
    if probe.held_out_top1:
        header: tuple[str, ...] = ("stage", "learning rate", "weight decay", "held-out top-1 %")
        rows: list[tuple[str, ...]] = [
            (stage, f"{rate:g}", f"{decay:g}", f"{100 * share:.2f}")
            for stage, shares in probe.held_out_top1.items()
            for (rate, decay), share in zip(recipe.settings, shares, strict=True)
        ]
        print("held-out top-1 % after each epoch:", " ".join(f"{100 * share:.1f}" for share in probe.curve))
    else:
        header, rows = ("stage", "test top-1 %"), [(at, f"{100 * top1:.2f}") for at, top1 in probe.test_top1.items()]
    evaluation_flags.finish(outcome, header=header, rows=rows)


def _optimum(features: LabelledFeatures) -> None:
    """Fits the one convex problem of the first stage to its optimum."""
    stage = next(iter(features.train.rows))
    train, test = (part.rows[stage][:].astype(np.float32) for part in (features.train, features.test))
    probe = linear_probe(train, features.train_labels, test, features.test_labels)
    outcome = evaluation_flags.outcome(
        features.train,
        features.test,
        num_classes=len(features.class_names),
        evaluation="linear_probe",
        protocol=(
            f"{_OPTIMUM}: logistic regression by L-BFGS, weight decay {probe.weight_decay:g}; "
            f"{evaluation_flags.described(features.test, stage)}"
        ),
        metric="top-1",
        value=probe.top1,
        interval=mean_interval(probe.correct, seed=evaluation_flags.SEED.value),
        details={"recipe": _OPTIMUM, "top1": probe.top1, "stage": stage, "weight_decay": probe.weight_decay},
    )
    evaluation_flags.finish(
        outcome,
        header=("weight decay", "held-out top-1 %"),
        rows=[(f"{decay:g}", f"{100 * top1:.2f}") for decay, top1 in probe.held_out_top1.items()],
    )
