"""Finds copies of images: mean average precision on CopyDays, and a table of the test images that are likely copies.

--train_data are the originals. On CopyDays: --train_data=folder:COPYDAYS/original --test_data=folder:COPYDAYS/strong.
Images without the names of CopyDays get the table only.
"""

import csv
import io

import numpy as np
from absl import flags, logging

from seer_tf.cli import command, evaluation_flags, feature_flags
from seer_tf.cli.evaluation_flags import TEST_DATA, TRAIN_DATA
from seer_tf.data.shards.ledger import cell
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.report import Report
from seer_tf.evaluation.features.descriptors import POOLINGS, descriptors, fitted_whitening, image_regions
from seer_tf.evaluation.features.extract import model_digest
from seer_tf.evaluation.protocols.copy_detection import block_of, copy_detection, likely_copies
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import EvaluationResult, mean_interval
from seer_tf.files.atomic import check_file, write_atomically
from seer_tf.models import Encoder
from seer_tf.quantities import counted

DISTRACTORS = flags.DEFINE_string("distractors", None, "Images beside the originals that have no copies.")
WHITENING_DATA = flags.DEFINE_string("whitening_data", None, "Other images, for fitting a whitening. [no whitening]")
STAGE = flags.DEFINE_string("stage", "res4", "Stage whose map is pooled.")
POOLING = flags.DEFINE_enum("pooling", POOLINGS[0], list(POOLINGS), "Pooling of the maps.")
LONGER_SIDE_PX = flags.DEFINE_integer("longer_side_px", 224, "Longer side of the images, in pixels.", lower_bound=32)
NUM_COMPONENTS = flags.DEFINE_integer(
    "num_components", 1024, "Largest dimension of whitened descriptors.", lower_bound=1
)
THRESHOLD = flags.DEFINE_float("threshold", 0.7, "Smallest cosine similarity of a likely copy.", -1.0, 1.0)
OUTPUT = flags.DEFINE_string("output", None, "TSV file to write: image, nearest original, similarity.")

flags.adopt_module_key_flags(evaluation_flags)
for _flag in (feature_flags.MODEL, feature_flags.UNTRAINED):
    flags.declare_key_flag(_flag.name)
command.required(feature_flags.MODEL)


def main() -> None:
    """Runs the command."""
    request = evaluation_flags.request()
    request.check_places()
    originals, images = open_source(TRAIN_DATA.value), open_source(TEST_DATA.value)
    _check(originals, images)
    distractors, others = (
        None if flag is None else open_source(flag) for flag in (DISTRACTORS.value, WHITENING_DATA.value)
    )
    encoder, step = request.features.network()
    whitening = None
    if others is not None:
        whitening = fitted_whitening(_regions(encoder, others, "images for the whitening"), NUM_COMPONENTS.value)
    bank = [(originals, "originals")] + ([] if distractors is None else [(distractors, "distractors")])
    bank_rows = np.concatenate([descriptors(_regions(encoder, source, label), whitening) for source, label in bank])
    rows = descriptors(_regions(encoder, images, "images"), whitening)
    if OUTPUT.value is not None:
        _write_table(OUTPUT.value, bank_rows[: originals.num_images], originals, rows, images)
    if _has_blocks(originals, images):
        report = _report(request, bank_rows, originals, rows, images, model_digest(encoder), step)
        evaluation_flags.finish(request, report)


def _check(originals: Source, images: Source) -> None:
    """Raises an error if there is nothing to measure and nothing to write."""
    if OUTPUT.value is not None:
        check_file(OUTPUT.value)
    elif not _has_blocks(originals, images):
        raise InputError(
            "no name in `test_data` ends in a number of CopyDays that is also in `train_data`, so there is nothing to "
            "measure; give `output` for the table of likely copies"
        )


def _has_blocks(originals: Source, images: Source) -> bool:
    of_originals, of_images = ({block_of(name) for name in source.ids} for source in (originals, images))
    return bool((of_originals & of_images) - {None})


def _regions(encoder: Encoder, source: Source, label: str) -> list[np.ndarray]:
    return image_regions(
        encoder,
        source,
        stage=STAGE.value,
        pooling=POOLING.value,
        size_px=LONGER_SIDE_PX.value,
        label=label,
    )


def _write_table(path: str, bank: np.ndarray, originals: Source, rows: np.ndarray, images: Source) -> None:
    found = likely_copies(bank, originals.ids, rows, images.ids, threshold=THRESHOLD.value)
    text = io.StringIO()
    table = csv.writer(text, "excel-tab", lineterminator="\n")
    table.writerow(["image", "nearest", "similarity"])
    table.writerows([cell(copy.name), cell(copy.nearest), f"{copy.similarity:.4f}"] for copy in found)
    write_atomically(path, text.getvalue())
    logging.info("%s: %d of %s at %g or more", path, len(found), counted(images.num_images, "image"), THRESHOLD.value)


def _report(
    request: EvaluationRequest,
    bank: np.ndarray,
    originals: Source,
    rows: np.ndarray,
    images: Source,
    digest: str,
    step: int | None,
) -> Report:
    """Returns the mean average precision over the images that are copies of an original."""
    bank_blocks = [block_of(name) for name in originals.ids]
    bank_blocks += [None] * (len(bank) - len(bank_blocks))
    found = copy_detection(bank, bank_blocks, rows, [block_of(name) for name in images.ids])
    distractors = counted(len(bank) - originals.num_images, "distractor")
    whitened = "not whitened" if WHITENING_DATA.value is None else f"whitened to {rows.shape[1]} numbers"
    first = float(found.is_first.mean())
    result = EvaluationResult(
        evaluation="copy_detection",
        protocol=(
            f"{POOLING.value} of {STAGE.value} at {LONGER_SIDE_PX.value} px, {whitened}; "
            f"{counted(originals.num_images, 'original')}, {distractors}"
        ),
        metric="mAP",
        value=float(found.average_precisions.mean()),
        interval=mean_interval(found.average_precisions, seed=request.seed),
        model=request.features.name,
        train_data=WHITENING_DATA.value,
        test_data=TEST_DATA.value,
        num_train_images=0,
        num_test_images=len(found.queries),
        num_classes=originals.num_images,
        seed=request.seed,
        details={
            "first": first,
            "stage": STAGE.value,
            "pooling": POOLING.value,
            "longer_side_px": LONGER_SIDE_PX.value,
            "is_whitened": WHITENING_DATA.value is not None,
            "has_distractors": DISTRACTORS.value is not None,
        },
        digest=digest,
        step=step,
    )
    header = ("copies", "mAP", "nearest is the original")
    row = (f"{len(found.queries)}", f"{100 * result.value:.2f} %", f"{100 * first:.2f} %")
    return Report(result, header, [row])
