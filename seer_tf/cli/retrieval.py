"""Retrieves the images nearest to queries: prints mean average precision and recall, and writes a sheet of images.

Without --test_data every image in --train_data is a query to the other images. Without labels there is only the sheet.
"""

import dataclasses
import functools

import numpy as np
from absl import flags, logging

from seer_tf.cli import command, evaluation_flags, feature_flags
from seer_tf.cli.evaluation_flags import TEST_DATA
from seer_tf.data.images import acceptance
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.retrieval import measure, searched
from seer_tf.evaluation.features.feature_set import Extractor, FeatureSet
from seer_tf.evaluation.features.labelled import Labels, matched_labels
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.features.rows import Rows
from seer_tf.evaluation.protocols.knn import nearest
from seer_tf.files.atomic import check_file
from seer_tf.quantities import counted
from seer_tf.reports.neighbour_sheet import SheetImage, SheetRow, write_neighbour_sheet

SHEET = flags.DEFINE_string(
    "sheet",
    None,
    "HTML file to write: queries with their nearest images; for a run also with those by its untrained network.",
)
NUM_QUERIES = flags.DEFINE_integer("num_queries", 40, "Number of queries on the sheet.", lower_bound=1)
NUM_NEAREST = flags.DEFINE_integer("num_nearest", 8, "Number of nearest images shown for each query.", lower_bound=1)

flags.adopt_module_key_flags(feature_flags)
flags.adopt_module_key_flags(evaluation_flags)
command.optional(TEST_DATA)


def main() -> None:
    """Runs the command."""
    if SHEET.value is not None:
        check_file(SHEET.value)
    request = evaluation_flags.request()
    bank, queries, labels = searched(request, _labels)
    shown = f"{counted(queries.num_images, 'query')} in {counted(bank.num_images, 'image')}"
    summary = f"{shown}, by {bank.origin.model}."
    if labels is not None:
        report = measure(request, bank, queries, labels)
        evaluation_flags.finish(request, report)
        summary += f" Mean average precision {100 * report.result.value:.1f} %."
    if SHEET.value is not None:
        rows = _rows(request.features, bank, queries)
        write_neighbour_sheet(rows, SHEET.value, title=f"Nearest in {bank.origin.data}", summary=summary)
        logging.info("%s: the sheet is written", SHEET.value)


def _labels(bank: FeatureSet, queries: FeatureSet) -> Labels | None:
    """Returns the labels of bank and queries; None if there is nothing to find, which leaves the sheet to write."""
    if _are_labelled(bank, queries):
        return matched_labels(bank, queries)
    if SHEET.value is None:
        raise InputError("the data has no labels, so there is nothing to measure; give --sheet to see neighbours")
    return None


def _are_labelled(bank: FeatureSet, queries: FeatureSet) -> bool:
    """Whether there are classes by which something can be found or missed."""
    if bank.class_names is None or queries.class_names is None or len(bank.class_names) < 2:
        return False
    labels = bank.labels if bank is queries else None  # Alone in its class, an image has nothing to find.
    return labels is None or bool(np.bincount(labels).max() > 1)


def _rows(request: FeatureRequest, bank: FeatureSet, queries: FeatureSet) -> list[SheetRow]:
    """Returns the rows of the sheet for evenly spaced queries, by the features of the first stage."""
    stage = next(iter(bank.rows))
    chosen = np.unique(np.linspace(0, queries.num_images - 1, NUM_QUERIES.value).astype(int))
    own = chosen if queries is bank else None
    nearest_images = _nearest(bank, bank.rows[stage], queries.rows[stage][chosen], own)
    before: list[list[SheetImage]] = [[] for _ in chosen]
    if request.has_untrained:
        untrained_extractor = dataclasses.replace(request, untrained=True).extractor()
        bank_rows, query_rows = _untrained_rows(untrained_extractor, bank, queries, chosen, stage)
        before = _nearest(bank, bank_rows, query_rows, own)
    return [
        SheetRow(_image(queries, int(query)), images, untrained)
        for query, images, untrained in zip(chosen, nearest_images, before, strict=True)
    ]


def _nearest(bank: FeatureSet, rows: Rows, queries: Rows, own: np.ndarray | None) -> list[list[SheetImage]]:
    """Returns the images in the bank nearest to each query.

    Args:
        bank: The images.
        rows: Features of the images, [N, D].
        queries: Features of the queries, [q, D].
        own: Position of each query in the bank, which is left out of its results; None if queries are not in the bank.
    """
    k = min(NUM_NEAREST.value + (own is not None), bank.num_images)
    similarities, positions = nearest(rows, queries, k)
    return [
        [
            _image(bank, int(position), float(similarity))
            for similarity, position in zip(similarities[number], positions[number], strict=True)
            if own is None or position != own[number]
        ][: NUM_NEAREST.value]
        for number in range(len(queries))
    ]


def _untrained_rows(
    extractor: Extractor, bank: FeatureSet, queries: FeatureSet, chosen: np.ndarray, stage: str
) -> tuple[np.ndarray | Rows, np.ndarray | Rows]:
    """Returns the features of the bank and the chosen queries by the run's untrained network."""
    of_bank = _extracted(extractor, bank, np.arange(bank.num_images), stage, "images, untrained network")
    if queries is bank:
        return of_bank, of_bank[chosen]
    return of_bank, _extracted(extractor, queries, chosen, stage, "queries on the sheet, untrained network")


def _extracted(extractor: Extractor, features: FeatureSet, chosen: np.ndarray, stage: str, label: str) -> Rows:
    """Returns the features of some images by another network."""
    data = features.origin.data
    source = Selection(_source(data)[0], [_place(features, int(number)) for number in chosen])
    return extractor.extract(source, data, label=label).rows[stage]


def _place(features: FeatureSet, number: int) -> int:
    """Returns the number in its source of the image with a number in the features."""
    place = _source(features.origin.data)[1].get(features.ids[number])
    if place is None:
        raise InputError(
            f"the images in {features.origin.data} have changed since the features were stored: "
            f"{features.ids[number]} is missing; extract the features again, or leave out --sheet"
        )
    return place


def _image(features: FeatureSet, number: int, similarity: float = 1.0) -> SheetImage:
    source, _ = _source(features.origin.data)
    pixels = acceptance.upright(source.read(_place(features, number)))
    names = features.class_names or ()
    class_name = ", ".join(names[label] for label in features.classes[number]) if names else ""
    return SheetImage(features.ids[number], pixels, class_name, similarity)


@functools.cache
def _source(data: str) -> tuple[Source, dict[str, int]]:
    """Opens the images of features, which may have been stored earlier; returns their numbers by name, too."""
    source = open_source(data)
    return source, {name: number for number, name in enumerate(source.ids)}
