"""Fits linear classifiers to frozen features of a training set, and measures their accuracy on a test set.

Recipes for images with several classes measure the mean average precision.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.labelled import open_labelled
from seer_tf.data.sources.registry import Data, name_of, open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.data.sources.usable import usable
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.report import Report, described
from seer_tf.evaluation.features.augmented import cropped_batches, flipped_batches
from seer_tf.evaluation.features.feature_set import Extractor, FeatureSet
from seer_tf.evaluation.features.fingerprints import check_other_images, unshared
from seer_tf.evaluation.features.labelled import (
    LabelledFeatures,
    check_alike,
    class_labels,
    labelled_features,
    matched_rows,
)
from seer_tf.evaluation.protocols import probe_grid
from seer_tf.evaluation.protocols.chosen_probe import ChosenProbe, chosen_probe
from seer_tf.evaluation.protocols.linear_probe import LinearProbe, linear_probe
from seer_tf.evaluation.protocols.linear_svm import mean_average_precision
from seer_tf.evaluation.protocols.probe_grid import Batches, ProbeRecipe, probe_recipe
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import EvaluationResult, bootstrap_interval, mean_interval

Matched = TypeVar("Matched")

OPTIMUM = "optimum"
RECIPES = (*probe_grid.RECIPES, OPTIMUM)

_IMAGES = {"none": "centre crops", "crops": "random crops and flips", "flips": "whole images and flips"}


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
    if found.has_several_labels:
        return _several_labels(request, recipe, found)
    if found.augmentation == "flips":
        request = _of_whole_images(request)
    if found.augmentation == "none":
        features, augmented = request.labelled(), None
    else:
        features, augmented = _augmented(request, recipe, found)
    probe = chosen_probe(features, found, seed=request.seed, augmented=augmented)
    return _report(request, recipe, features, probe)


def _of_whole_images(request: EvaluationRequest) -> EvaluationRequest:
    """Returns the request for the same features of whole images, resized to the square at once, as in VISSL."""
    return dataclasses.replace(
        request, features=dataclasses.replace(request.features, squash=True, squash_at_once=True)
    )


def _augmented(
    request: EvaluationRequest, name: str, recipe: ProbeRecipe
) -> tuple[LabelledFeatures, Callable[[np.ndarray], Batches]]:
    """Returns the features, and a function from numbers of training images to batches of their augmented features."""
    extractor, train, sets, labels = _to_augment(request, name, open_labelled, class_labels)
    features = labelled_features(*sets, labels)
    augmented_batches = flipped_batches if recipe.augmentation == "flips" else cropped_batches

    def batches(numbers: np.ndarray) -> Batches:
        labels = features.train_labels[numbers]
        return augmented_batches(extractor, Selection(train, numbers), labels, recipe.batch_size, seed=request.seed)

    return features, batches


def _to_augment(
    request: EvaluationRequest,
    recipe: str,
    opened: Callable[[Data], Source],
    match: Callable[[FeatureSet, FeatureSet], Matched],
) -> tuple[Extractor, Source, tuple[FeatureSet, FeatureSet], Matched]:
    """Returns the extractor, the training images, both feature sets (without training features) and their labels.

    Args:
        request: Features, data and seed.
        recipe: Name of the recipe, for messages.
        opened: Function that opens data.
        match: Function that returns the labels of both sets, or raises an error; called before features are made.
    """
    if not request.features.is_given:
        raise InputError(f"`recipe={recipe}` changes the images in each epoch; give `model`, and images")
    request.check_places()
    extractor = request.features.extractor()
    train, test = map(opened, request.both())
    train_name, test_name = map(name_of, request.both())
    match(extractor.metadata(train, train_name), extractor.metadata(test, test_name))
    train, test = usable(train), usable(test)
    labels = match(extractor.metadata(train, train_name), extractor.metadata(test, test_name))
    check_other_images(train, test)
    test_features = extractor.extract(test, test_name, label="test images")
    return extractor, train, (extractor.with_fingerprints(train, train_name), test_features), labels


def _several_labels(request: EvaluationRequest, name: str, recipe: ProbeRecipe) -> Report:
    """Fits to images with several classes, some of which may be unknown, and measures the mean average precision."""
    extractor, source, (train, test), labels_of = _to_augment(request, name, open_source, matched_rows)
    class_names, train_rows, test_rows = labels_of
    check_alike(train, test)
    kept = unshared(train.fingerprints, test.fingerprints)
    test, labels = test.selected(kept), test_rows[kept]
    batches = cropped_batches(extractor, source, train_rows, recipe.batch_size, seed=request.seed)
    grid = probe_grid.ProbeGrid(train.origin.poolings, len(class_names), recipe, seed=request.seed)
    grid.fit(batches, train.num_images, held_out={}, held_out_labels=np.zeros(0))
    scores = grid.scores(test.rows)
    found = {stage: mean_average_precision(labels, of_stage) for stage, of_stage in scores.items()}
    stage = max(found, key=lambda stage: found[stage])  # nothing is held out; the best stage is the result, as in VISSL
    result = request.result(
        train,
        test,
        num_classes=len(class_names),
        evaluation="linear_probe",
        protocol=(
            f"{name}: {recipe.epochs} epochs of random crops and flips, SGD, several classes for each image; "
            f"{described(test, stage)}"
        ),
        metric="mAP",
        value=found[stage],
        interval=bootstrap_interval(
            lambda chosen: mean_average_precision(labels[chosen], scores[stage][chosen]),
            test.num_images,
            seed=request.seed,
        ),
        details={"recipe": name, "stage": stage, "test_mAP": found},
    )
    return Report(result, ("stage", "test mAP %"), [(at, f"{100 * value:.2f}") for at, value in found.items()])


def _report(request: EvaluationRequest, name: str, features: LabelledFeatures, probe: ChosenProbe) -> Report:
    recipe, (rate, decay) = probe.recipe, probe.setting
    how = _IMAGES[recipe.augmentation]
    result = _top1_result(
        request,
        features,
        probe,
        probe.stage,
        protocol=(
            f"{name}: {recipe.epochs} epochs of {how}, SGD, learning rate {rate:g} per 256, weight decay "
            f"{decay:g}, fitted on {probe.num_fitted:,}"
        ),
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
    result = _top1_result(
        request,
        features,
        probe,
        stage,
        protocol=f"{OPTIMUM}: logistic regression by L-BFGS, weight decay {probe.weight_decay:g}",
        details={"recipe": OPTIMUM, "top1": probe.top1, "stage": stage, "weight_decay": probe.weight_decay},
    )
    rows = [(f"{decay:g}", f"{100 * top1:.2f}") for decay, top1 in probe.held_out_top1.items()]
    return Report(result, ("weight decay", "held-out top-1 %"), rows)


def _top1_result(
    request: EvaluationRequest,
    features: LabelledFeatures,
    probe: ChosenProbe | LinearProbe,
    stage: str,
    *,
    protocol: str,
    details: Mapping[str, Any],
) -> EvaluationResult:
    """Returns the result of a probe on the features of a stage, for images with one class each."""
    return request.result(
        features.train,
        features.test,
        num_classes=len(features.class_names),
        evaluation="linear_probe",
        protocol=f"{protocol}; {described(features.test, stage)}",
        metric="top-1",
        value=probe.top1,
        interval=mean_interval(probe.correct, seed=request.seed),
        details=details,
    )
