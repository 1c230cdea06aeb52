"""Fits linear classifiers to frozen features of a training set, and measures their accuracy on a test set."""

from collections.abc import Callable

import numpy as np

from seer_tf.data.sources.registry import name_of, open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.report import Report, described
from seer_tf.evaluation.features.augmented import augmented_batches
from seer_tf.evaluation.features.fingerprints import check_other_images
from seer_tf.evaluation.features.labelled import LabelledFeatures, class_labels, labelled_features
from seer_tf.evaluation.protocols import probe_grid
from seer_tf.evaluation.protocols.chosen_probe import ChosenProbe, chosen_probe
from seer_tf.evaluation.protocols.linear_probe import linear_probe
from seer_tf.evaluation.protocols.probe_grid import Batches, probe_recipe
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import mean_interval

OPTIMUM = "optimum"
RECIPES = (*probe_grid.RECIPES, OPTIMUM)


def evaluate(request: EvaluationRequest, recipe: str = "grid") -> Report:
    """Fits the classifiers of a recipe, and evaluates one of them on the test images.

    Args:
        request: Features, data and seed.
        recipe: One of `RECIPES`; `OPTIMUM` uses scikit-learn's L-BFGS.

    Raises:
        InputError: The recipe does not exist, or the data cannot be used.
    """
    if recipe == OPTIMUM:
        return _optimum(request, request.labelled())
    found = probe_recipe(recipe)
    if found.is_augmented:
        features, augmented = _augmented(request, recipe, found.batch_size)
    else:
        features, augmented = request.labelled(), None
    probe = chosen_probe(features, found, seed=request.seed, augmented=augmented)
    return _report(request, recipe, features, probe)


def _augmented(
    request: EvaluationRequest, recipe: str, batch_size: int
) -> tuple[LabelledFeatures, Callable[[np.ndarray], Batches]]:
    """Returns the features, and a function from numbers of training images to batches of features from random crops."""
    if not request.features.is_given or request.test_data is None:
        raise InputError(f"`recipe={recipe}` makes new crops in each epoch; give `model`, and images")
    request.check_places()
    extractor = request.features.extractor()
    train, test = open_source(request.train_data), open_source(request.test_data)
    train_name, test_name = name_of(request.train_data), name_of(request.test_data)
    labels = class_labels(extractor.announce(train, train_name), extractor.announce(test, test_name))
    check_other_images(train, test)
    test_features = extractor.extract(test, test_name, label="test images")
    features = labelled_features(extractor.leave(train, train_name), test_features, labels)

    def batches(numbers: np.ndarray) -> Batches:
        labels = features.train_labels[numbers]
        return augmented_batches(extractor, Selection(train, numbers), labels, batch_size, seed=request.seed)

    return features, batches


def _report(request: EvaluationRequest, name: str, features: LabelledFeatures, probe: ChosenProbe) -> Report:
    recipe, (rate, decay) = probe.recipe, probe.setting
    how = "random crops and flips" if recipe.is_augmented else "centre crops"
    result = request.result(
        features.train,
        features.test,
        num_classes=len(features.class_names),
        evaluation="linear_probe",
        protocol=(
            f"{name}: {recipe.epochs} epochs of {how}, SGD, learning rate {rate:g} per 256, weight decay "
            f"{decay:g}, fitted on {probe.num_fitted:,}; {described(features.test, probe.stage)}"
        ),
        metric="top-1",
        value=probe.top1,
        interval=mean_interval(probe.correct, seed=request.seed),
        details={
            "recipe": name,
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
    if not probe.held_out_top1:
        of_stages = [(at, f"{100 * top1:.2f}") for at, top1 in probe.test_top1.items()]
        return Report(result, ("stage", "test top-1 %"), of_stages)
    curve = " ".join(f"{100 * share:.1f}" for share in probe.curve)
    rows = [
        (stage, f"{rate:g}", f"{decay:g}", f"{100 * share:.2f}")
        for stage, shares in probe.held_out_top1.items()
        for (rate, decay), share in zip(recipe.settings, shares, strict=True)
    ]
    header = ("stage", "learning rate", "weight decay", "held-out top-1 %")
    return Report(result, header, rows, notes=(f"held-out top-1 % after each epoch: {curve}",))


def _optimum(request: EvaluationRequest, features: LabelledFeatures) -> Report:
    """Fits a logistic regression on the first stage to its optimum."""
    stage = next(iter(features.train.rows))
    train, test = (part.rows[stage][:].astype(np.float32) for part in (features.train, features.test))
    probe = linear_probe(train, features.train_labels, test, features.test_labels)
    result = request.result(
        features.train,
        features.test,
        num_classes=len(features.class_names),
        evaluation="linear_probe",
        protocol=(
            f"{OPTIMUM}: logistic regression by L-BFGS, weight decay {probe.weight_decay:g}; "
            f"{described(features.test, stage)}"
        ),
        metric="top-1",
        value=probe.top1,
        interval=mean_interval(probe.correct, seed=request.seed),
        details={"recipe": OPTIMUM, "top1": probe.top1, "stage": stage, "weight_decay": probe.weight_decay},
    )
    rows = [(f"{decay:g}", f"{100 * top1:.2f}") for decay, top1 in probe.held_out_top1.items()]
    return Report(result, ("weight decay", "held-out top-1 %"), rows)
