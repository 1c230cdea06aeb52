"""What the paper and the released models reached, to be set beside one's own numbers.

SEER: arXiv 2103.01988, tables 1 and 3. "VISSL": its model zoo and `projects/SEER/README.md`, which list the weights
that were released later; those numbers are not the paper's. Nothing here was measured with this package.
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class PublishedNumber:
    """A number that others have reached.

    Attributes:
        evaluation: as an `Outcome` names it.
        data: name of the data set.
        metric: what the number is.
        model: the network.
        percent: the number.
        source: where it stands.
    """

    evaluation: str
    data: str
    metric: str
    model: str
    percent: float
    source: str


FINE_TUNING = "fine-tuning"
"""What an `Outcome` of fine-tuning calls its evaluation."""

_IMAGENET, _INAT, _PLACES, _VOC = "ImageNet", "iNaturalist 2018", "Places205", "VOC07"
_DATA_FLAGS = {
    _IMAGENET: r"imagenet2012@|imagenet(-?1k)?\b",
    _INAT: r"i_naturalist2018|inat(uralist)?[-_]?(20)?18",
    _PLACES: r"places[-_]?205",
    _VOC: r"voc(/|[-_])?(20)?07",
}


def _rows(evaluation: str, data: str, metric: str, source: str, **percents: float) -> tuple[PublishedNumber, ...]:
    return tuple(
        PublishedNumber(evaluation, data, metric, f"RegNetY-{variant.removeprefix('_')}", percent, source)
        for variant, percent in percents.items()
    )


PUBLISHED_NUMBERS = (
    *_rows(FINE_TUNING, _IMAGENET, "top-1", "the paper, table 1", _128GF=83.8, _256GF=84.2),
    *_rows(FINE_TUNING, _IMAGENET, "top-1", "VISSL, 384 px", _32GF=83.4, _64GF=84.0, _128GF=84.5, _256GF=85.2),
    *_rows(FINE_TUNING, _IMAGENET, "top-1", "the paper, 1 % of the labels", _256GF=60.5),
    *_rows(FINE_TUNING, _IMAGENET, "top-1", "the paper, 10 % of the labels", _128GF=76.7, _256GF=77.9),
    *_rows(FINE_TUNING, _INAT, "top-1", "VISSL", _32GF=79.1, _64GF=80.0, _128GF=82.6, _256GF=83.9),
    *_rows(FINE_TUNING, _PLACES, "top-1", "VISSL", _32GF=67.5, _64GF=67.4, _128GF=67.5, _256GF=67.7),
    *_rows("linear_probe", _IMAGENET, "top-1", "VISSL", _32GF=74.03, _64GF=75.25, _128GF=75.96, _256GF=77.51),
)


def data_name(flag: str) -> str | None:
    """Returns which known data set a data flag names; None where it is not known."""
    for name, pattern in _DATA_FLAGS.items():
        if re.search(pattern, flag, re.IGNORECASE):
            return name
    return None


def published_beside(evaluation: str, test_data: str) -> tuple[PublishedNumber, ...]:
    """Returns what was published of an evaluation on the data set of a data flag."""
    name = data_name(test_data)
    return tuple(row for row in PUBLISHED_NUMBERS if (row.evaluation, row.data) == (evaluation, name))
