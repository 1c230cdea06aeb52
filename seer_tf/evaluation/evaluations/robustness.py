"""Robustness: one classifier on test sets that have some of its classes, under the same or other names."""

import os
from collections.abc import Iterator, Sequence

import numpy as np

from seer_tf.data.sources.labelled import open_labelled
from seer_tf.data.sources.registry import Data, name_of
from seer_tf.data.sources.usable import usable
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.classifier import LOGITS, opened_classifier
from seer_tf.evaluation.evaluations.report import Report, percent_cells
from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.features.labelled import checked_labels
from seer_tf.evaluation.protocols.robustness import ClassMap, read_class_map, restricted_correct, right_classes
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import mean_interval
from seer_tf.networks.network import Network
from seer_tf.quantities import counted


def evaluate(
    request: EvaluationRequest,
    *,
    class_map: str | os.PathLike[str] | None = None,
    class_names: str | os.PathLike[str] | None = None,
) -> Report:
    """Classifies the test images; nothing is fitted.

    Args:
        request: A network with a classifier, and test images.
        class_map: CSV file with a test class and a classifier class on each line; None if the names are equal.
        class_names: File with one class name per line; None for the classifier's own.

    Raises:
        InputError: The network has no classifier, or the data cannot be used.
    """
    (report,) = reports([request], class_maps=[] if class_map is None else [class_map], class_names=class_names)
    return report


def reports(
    requests: Sequence[EvaluationRequest],
    *,
    class_maps: Sequence[str | os.PathLike[str]],
    class_names: str | os.PathLike[str] | None,
) -> Iterator[Report]:
    """Yields the report of one classifier on several test sets. All classes are matched before it sees an image.

    Args:
        requests: Requests that differ in their test images.
        class_maps: Maps of class names, as for `evaluate`.
        class_names: As for `evaluate`.

    Raises:
        InputError: As `evaluate`.
    """
    tests = [_test_data(request) for request in requests]
    features = requests[0].features
    features.check_only("model", "batch_size")
    class_map = read_class_map(*class_maps)
    network, extractor = opened_classifier(features, class_names)
    sources = [open_labelled(test) for test in tests]
    for source, test in zip(sources, tests, strict=True):
        _right_classes(extractor.metadata(source, name_of(test)), network, class_map)
    for request, source, test in zip(requests, sources, tests, strict=True):
        found = extractor.extract(usable(source), name_of(test), label=name_of(test))
        yield _report(request, found, network, class_map)


def _test_data(request: EvaluationRequest) -> Data:
    if request.train is not None:
        raise InputError("`train` is given, and robustness fits nothing; leave it out")
    if request.test is None:
        raise InputError("`test` is missing: labelled images to measure the accuracy on")
    request.check_places()
    return request.test


def _right_classes(features: FeatureSet, network: Network, class_map: ClassMap) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels, int [N], and the correct classifier classes of each test class, bool [test classes, L]."""
    test_names, labels = checked_labels(features, features.origin.data)
    return labels, right_classes(network.class_names, test_names, labels, class_map)


def _report(request: EvaluationRequest, features: FeatureSet, network: Network, class_map: ClassMap) -> Report:
    labels, right = _right_classes(features, network, class_map)
    correct = restricted_correct(features.rows[LOGITS][:], labels, right)
    num_classes = int(right[np.unique(labels)].any(axis=0).sum())
    result = request.result(
        None,
        features,
        evaluation="robustness",
        protocol=f"among {num_classes} of {counted(len(network.class_names), 'class')}; {network.transform}",
        metric="top-1",
        value=float(correct.mean()),
        interval=mean_interval(correct, seed=request.seed),
        num_classes=num_classes,
        details={"top1": float(correct.mean())},
    )
    return Report(result, ("top-1 %", "95 %"), [percent_cells(result.value, result.interval)])
