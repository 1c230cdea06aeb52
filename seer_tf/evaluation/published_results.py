"""Published results of the paper and the released models, for comparison with one's own numbers.

"the paper" is SEER, arXiv 2103.01988, tables 1 and 3. "VISSL" is VISSL's model zoo and its `projects/SEER/README.md`.
They list the weights that were released later, so their numbers differ from the paper's. Nothing here was measured
with this package.

Missing are the paper's tables of linear classifiers (iNaturalist 2018, OpenImages, Places205, VOC07) and of COCO, and
its figures: no copy of them could be read.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from seer_tf.evaluation.result import EvaluationResult


@dataclasses.dataclass(frozen=True)
class PublishedNumber:
    """A published number.

    Attributes:
        evaluation: Name of the evaluation, as in `EvaluationResult`.
        data: Name of the data set.
        metric: Name of the metric.
        model: Name of the network.
        percent: Value of the metric, in percent.
        source: Publication that reports the number.
        labels: Fraction of the training labels that was used.
        settings: Settings that decide the protocol, by their names in the details of a result.
    """

    evaluation: str
    data: str
    metric: str
    model: str
    percent: float
    source: str
    labels: float = 1.0
    settings: tuple[tuple[str, Any], ...] = ()


FINE_TUNING = "fine-tuning"
"""Name of the evaluation in an `EvaluationResult` of fine-tuning."""

_IMAGENET, _INAT, _PLACES, _VOC = "ImageNet", "iNaturalist 2018", "Places205", "VOC07"
_COPYDAYS = "CopyDays, strong"
_DATA_FLAGS = {  # a part of a path, or the name of a TensorFlow dataset
    _IMAGENET: r"(^|[:/])(imagenet(2012|[-_]?1k)?|ilsvrc[-_]?2012)($|[:/@])",
    _INAT: r"(^|[:/])(i_naturalist2018|inat(uralist)?[-_]?(20)?18)",
    _PLACES: r"(^|[:/])places[-_]?205",
    _VOC: r"(^|[:/])voc(/|[-_])?(20)?07",
    _COPYDAYS: r"(^|[:/])copydays.*/strong",
}
_NUM_CLASSES = {_IMAGENET: 1000, _INAT: 8142, _PLACES: 205, _VOC: 20, _COPYDAYS: 157}


_PRETRAINED = (("config.classifier.untrained", False),)
_UNTRAINED = (("config.classifier.untrained", True),)
_384_PX = (*_PRETRAINED, ("config.transform.size_px", 384))
_COPIES = (  # `instance_retrieval/eval_resnet_1gpu_copydays.yaml`
    ("pooling", "rmac"),
    ("stage", "res4"),
    ("longer_side_px", 224),
    ("is_whitened", True),
    ("has_distractors", True),
)
_VISSL_PROBE = (("recipe", "vissl_imagenet"),)


def _rows(
    evaluation: str,
    data: str,
    metric: str,
    source: str,
    labels: float = 1.0,
    settings: tuple[tuple[str, Any], ...] = (),
    **percents: float,
) -> tuple[PublishedNumber, ...]:
    return tuple(
        PublishedNumber(
            evaluation, data, metric, f"RegNetY-{variant.removeprefix('_')}", percent, source, labels, settings
        )
        for variant, percent in percents.items()
    )


_TABLE_1 = "the paper, table 1, resolution not stated"
_AT_384 = "VISSL, 384 px"

PUBLISHED_NUMBERS = (
    *_rows(FINE_TUNING, _IMAGENET, "top-1", _TABLE_1, 1.0, _PRETRAINED, _128GF=83.8, _256GF=84.2),
    *_rows(
        FINE_TUNING,
        _IMAGENET,
        "top-1",
        _AT_384,
        1.0,
        _384_PX,
        _32GF=83.4,
        _64GF=84.0,
        _128GF=84.5,
        _256GF=85.2,
        _10B=85.8,
    ),
    *_rows(
        FINE_TUNING, _IMAGENET, "top-1", "VISSL, supervised, from pycls", 1.0, _UNTRAINED, _64GF=80.55, _128GF=80.57
    ),
    *_rows(
        FINE_TUNING, _IMAGENET, "top-1", "the paper, 1 % of the labels", 0.01, _PRETRAINED, _128GF=57.5, _256GF=60.5
    ),
    *_rows(
        FINE_TUNING, _IMAGENET, "top-1", "the paper, 10 % of the labels", 0.1, _PRETRAINED, _128GF=76.7, _256GF=77.9
    ),
    *_rows(
        FINE_TUNING, _INAT, "top-1", _AT_384, 1.0, _384_PX, _32GF=79.1, _64GF=80.0, _128GF=82.6, _256GF=83.9, _10B=84.7
    ),
    *_rows(
        FINE_TUNING,
        _PLACES,
        "top-1",
        _AT_384,
        1.0,
        _384_PX,
        _32GF=67.5,
        _64GF=67.4,
        _128GF=67.5,
        _256GF=67.7,
        _10B=69.0,
    ),
    *_rows("linear_probe", _IMAGENET, "top-1", "VISSL, best stage res5", 1.0, _VISSL_PROBE, _32GF=74.03),
    *_rows(
        "linear_probe",
        _IMAGENET,
        "top-1",
        "VISSL, best stage res5avg",
        1.0,
        _VISSL_PROBE,
        _64GF=75.25,
        _128GF=75.96,
        _256GF=77.51,
    ),
    *_rows("linear_probe", _IMAGENET, "top-1", "VISSL, best stage res4", 1.0, _VISSL_PROBE, _10B=79.8),
    *_rows(
        "copy_detection",
        _COPYDAYS,
        "mAP",
        "VISSL",
        1.0,
        _COPIES,
        _32GF=83.0,
        _64GF=83.2,
        _128GF=86.5,
        _256GF=87.8,
        _10B=90.6,
    ),
    *_rows("linear_probe", _IMAGENET, "top-1", "VISSL, SwAV on ImageNet", 1.0, _VISSL_PROBE, _16GF=76.15, _128GF=78.36),
)


def data_name(flag: str) -> str | None:
    """Returns the name of the known data set that a data spec refers to; None if it is unknown."""
    for name, pattern in _DATA_FLAGS.items():
        if re.search(pattern, flag, re.IGNORECASE):
            return name
    return None


def published_beside(outcome: EvaluationResult) -> tuple[PublishedNumber, ...]:
    """Returns the published numbers with the same evaluation, data set, metric, protocol and fraction of labels."""
    name, labels = data_name(outcome.test_data), _share_of_labels(outcome)
    if name is None or outcome.num_classes != _NUM_CLASSES[name]:
        return ()
    asked = (outcome.evaluation, name, outcome.metric, labels)
    same = (row for row in PUBLISHED_NUMBERS if (row.evaluation, row.data, row.metric, row.labels) == asked)
    return tuple(row for row in same if all(_setting(outcome, path) == value for path, value in row.settings))


def _setting(outcome: EvaluationResult, path: str) -> Any:
    """Returns the value at a path such as "config.transform.size_px" in the details; None where there is none."""
    found: Any = outcome.details
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _share_of_labels(outcome: EvaluationResult) -> float | None:
    """Returns the fraction of labels that was used for fitting; None if a list chose the images."""
    data = outcome.details.get("config", {}).get("data", {})
    return None if data.get("subset_list") else data.get("fraction", 1.0)
