"""Finds copies of images: mean average precision on CopyDays, and a table of the test images that are likely copies.

--train_data are the originals. On CopyDays: --train_data=folder:COPYDAYS/original --test_data=folder:COPYDAYS/strong.
Images without the names of CopyDays get the table only.
"""

import csv
import io

from absl import flags, logging

from seer_tf.cli import command, evaluation_flags, feature_flags
from seer_tf.data.shards.ledger import cell
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.copy_detection import CopySearch
from seer_tf.evaluation.features.descriptors import POOLINGS
from seer_tf.files.atomic import check_file, write_atomically
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
    if OUTPUT.value is not None:
        check_file(OUTPUT.value)
    request = evaluation_flags.request()
    search = CopySearch(
        request,
        DISTRACTORS.value,
        WHITENING_DATA.value,
        STAGE.value,
        POOLING.value,
        LONGER_SIDE_PX.value,
        NUM_COMPONENTS.value,
    )
    if OUTPUT.value is None and not search.has_names_of_copydays:
        raise InputError(
            "no name in `test` ends in a number of CopyDays that is also in `train`, so there is nothing to measure; "
            "give `output` for the table of likely copies"
        )
    if OUTPUT.value is not None:
        _write_table(search, OUTPUT.value)
    if search.has_names_of_copydays:
        evaluation_flags.finish(request, search.report())


def _write_table(search: CopySearch, path: str) -> None:
    found = search.likely_copies(THRESHOLD.value)
    text = io.StringIO()
    table = csv.writer(text, "excel-tab", lineterminator="\n")
    table.writerow(["image", "nearest", "similarity"])
    table.writerows([cell(copy.name), cell(copy.nearest), f"{copy.similarity:.4f}"] for copy in found)
    write_atomically(path, text.getvalue())
    num_images = counted(search.images.num_images, "image")
    logging.info("%s: %d of %s at %g or more", path, len(found), num_images, THRESHOLD.value)
