"""Geolocation: the share of photos whose predicted cell of the Earth's surface is within some distances."""

import os

import numpy as np

from seer_tf.data.sources.registry import name_of, open_source
from seer_tf.data.sources.usable import usable
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.classifier import LOGITS, opened_classifier
from seer_tf.evaluation.evaluations.report import Report, percent_cells
from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.protocols.geolocation import WITHIN_KM, distances_km, read_places
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import mean_interval
from seer_tf.quantities import counted

_REPORTED = "city"


def evaluate(request: EvaluationRequest, *, cells: str | os.PathLike[str], places: str | os.PathLike[str]) -> Report:
    """Predicts a cell for each test image, and measures how far its place is; nothing is fitted.

    Args:
        request: A network with a classifier of cells, and test images, whose labels do not count.
        cells: Table with `latitude` and `longitude` for each class of the classifier.
        places: Table with `latitude` and `longitude` for each test image, by its name.

    Raises:
        InputError: The network has no classifier, a table lacks a place, or the images cannot be used.
    """
    if request.train is not None or request.test is None:
        raise InputError("geolocation fits nothing: give images as `test`, and leave out `train`")
    request.check_places()
    request.features.check_only("model", "batch_size")
    network, extractor = opened_classifier(request.features)
    of_cells = read_places(os.fspath(cells), network.class_names)
    source = usable(open_source(request.test))
    of_images = read_places(os.fspath(places), source.ids)
    found = extractor.extract(source, name_of(request.test), label="test images")
    predicted = of_cells[found.rows[LOGITS][:].argmax(axis=1)]
    protocol = f"the best of {counted(len(of_cells), 'cell')}; {network.transform}"
    return _report(request, found, distances_km(predicted, of_images), len(of_cells), protocol)


def _report(
    request: EvaluationRequest, features: FeatureSet, distances: np.ndarray, num_cells: int, protocol: str
) -> Report:
    within = {name: distances <= limit for name, limit in WITHIN_KM.items()}
    intervals = {name: mean_interval(is_near, seed=request.seed) for name, is_near in within.items()}
    result = request.result(
        None,
        features,
        evaluation="geolocation",
        protocol=protocol,
        metric=f"within {WITHIN_KM[_REPORTED]} km",
        value=float(within[_REPORTED].mean()),
        interval=intervals[_REPORTED],
        num_classes=num_cells,
        details={
            "within_km": {str(WITHIN_KM[name]): float(is_near.mean()) for name, is_near in within.items()},
            "median_km": float(np.median(distances)),
        },
    )
    rows = [
        (name, f"{WITHIN_KM[name]:,}", *percent_cells(float(is_near.mean()), intervals[name]))
        for name, is_near in within.items()
    ]
    return Report(result, ("distance", "km", "within %", "95 %"), rows)
