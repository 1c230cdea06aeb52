"""Evaluation of a network: one call for all protocols."""

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from seer_tf.api.images import Images, as_data
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.registry import EVALUATIONS
from seer_tf.evaluation.features.request import BATCH_SIZE, FeatureRequest
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import EvaluationResult
from seer_tf.files.system_errors import takes_paths


@takes_paths
def evaluate(
    model: str | os.PathLike[str] | None = None,
    *,
    train: Images | None = None,
    test: Images | None = None,
    protocol: str = "knn",
    untrained: bool = False,
    pixels: str | None = None,
    stages: Sequence[str] = (),
    size_px: int | None = None,
    squash: bool = False,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    results: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> EvaluationResult:
    """Evaluates a network by a protocol, as the command of the protocol's name does.

    Args:
        model: A run, one of its checkpoints, a conversion, a `.keras` file, or a model from `load`; None for stored
            features or pixel features.
        train: Labelled images to fit on or to search: a folder with a sub-folder for each class, another data spec, a
            pair of uint8 `[N, h, w, 3]` and labels `[N]`, a `tf.data.Dataset` of such pairs, or `features:DIR`. Nothing
            is fitted for robustness and geolocation.
        test: Labelled images to measure the result on; None in retrieval for a search for each training image.
        protocol: knn, linear_probe, linear_svm, retrieval, copy_detection, robustness, geolocation, or a registered
            one.
        untrained: Whether a run's network has its initial weights.
        pixels: Pixel features in place of a network's features, e.g. histogram.
        stages: Some of avgpool, res2, res3 …, pooled as in VISSL, and all_stages. If empty, what the run names as its
            own (`backbone.features`), avgpool without a run, or all stages of stored features.
        size_px: Side of the square that the network sees, in pixels; the model's own if None.
        squash: Whether whole images are squeezed into the square instead of cropped.
        batch_size: Number of images in a batch.
        seed: Seed of all random draws.
        results: File to which the result is added as a line; `evaluations.jsonl` in the run directory if None.
        **settings: Further flags of the protocol's command: `recipe` for linear_probe; `class_map` and `class_names`
            for robustness; `cells` and `places` for geolocation; `distractors`, `whitening_data`, `stage`, `pooling`,
            `longer_side_px` and `num_components` for copy_detection.

    Returns:
        The number, its interval, and the settings that it depends on.

    Raises:
        InputError: An argument is wrong, or the data cannot be used.
    """
    evaluation = EVALUATIONS.find(protocol)
    _check_settings(protocol, settings)
    features = FeatureRequest(
        model=None if model is None else os.path.expanduser(os.fspath(model)),
        untrained=untrained,
        pixels=pixels,
        stages=tuple(stages),
        size_px=size_px,
        squash=squash,
        batch_size=batch_size,
    )
    request = EvaluationRequest(
        features,
        None if train is None else as_data(train),
        None if test is None else as_data(test),
        seed=seed,
        results=None if results is None else os.fspath(results),
    )
    report = evaluation(request, **{name: _given(value) for name, value in settings.items()})
    request.keep(report.result)
    return report.result


def _check_settings(protocol: str, settings: Mapping[str, Any]) -> None:
    """Raises an error if the protocol does not have a setting, or needs another one."""
    _, *known = inspect.signature(EVALUATIONS[protocol]).parameters.values()  # the first one is the request
    names = [parameter.name for parameter in known]
    for name in settings:
        if name not in names:
            raise InputError(f"`{name}` is no setting of the protocol {protocol}; it has {', '.join(names) or 'none'}")
    for parameter in known:
        if parameter.default is parameter.empty and parameter.name not in settings:
            raise InputError(f"`{parameter.name}` is missing: the protocol {protocol} needs it")


def _given(value: Any) -> Any:
    """Returns a setting as evaluations take it: paths as text, and images in memory as a source."""
    return as_data(value) if isinstance(value, (os.PathLike, np.ndarray, tf.data.Dataset)) else value
