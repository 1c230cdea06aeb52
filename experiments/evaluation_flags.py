"""What the evaluations on frozen features share: which features, of which images, and how a result is printed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from seer_tf.data.sources import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.features import ImageFeatures, image_features
from seer_tf.evaluation.labelled_features import LabelledFeatures, labelled_features
from seer_tf.evaluation.pixel_features import PIXEL_FEATURES, pixel_features
from seer_tf.train.checkpoints import load_model

RUN_DIR = flags.DEFINE_string("run_dir", None, "Directory of the run whose newest checkpoint is evaluated.")
UNTRAINED = flags.DEFINE_bool("untrained", False, "Takes the run's network with its initial weights instead.")
PIXELS = flags.DEFINE_string("pixels", None, f"Takes features of pixels instead of a run: {', '.join(PIXEL_FEATURES)}.")
TRAIN_DATA = flags.DEFINE_string("train_data", None, "Labelled images to fit on, e.g. folder:DIR.", required=True)
TEST_DATA = flags.DEFINE_string("test_data", None, "Labelled images to read the accuracy on.", required=True)
SIZE_PX = flags.DEFINE_integer("size_px", None, "Side of the centre crop. [the run's largest crop]", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images at once.", lower_bound=1)

_PIXELS_SIZE_PX = 64


def extracted_features() -> LabelledFeatures:
    """Returns the features that the flags ask for.

    Raises:
        InputError: neither or both of --run_dir and --pixels are given, or what they name cannot be used.
    """
    train, test = open_source(TRAIN_DATA.value), open_source(TEST_DATA.value)
    features, size_px = _features()
    return labelled_features(features, train, test, size_px=SIZE_PX.value or size_px, batch_size=BATCH_SIZE.value)


def print_result(
    evaluation: str,
    features: LabelledFeatures,
    *,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    summary: str,
    result: Mapping[str, Any],
) -> None:
    """Prints a table for people and, as the last line, one JSON object.

    Args:
        evaluation: its name.
        features: what was evaluated.
        header: of the table.
        rows: of the table.
        summary: one line below the table.
        result: what the JSON object says beside where the features and images are from.
    """
    num_train, num_test, num_classes = len(features.train), len(features.test), len(features.class_names)
    source = (
        f"{RUN_DIR.value}{', untrained' if UNTRAINED.value else ''}" if RUN_DIR.value else f"pixels, {PIXELS.value}"
    )
    print(f"{evaluation} of {source}: {num_train} training and {num_test} test images, {num_classes} classes")
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    print(summary)
    origin = {
        "run_dir": RUN_DIR.value,
        "untrained": UNTRAINED.value,
        "pixels": PIXELS.value,
        "train_data": TRAIN_DATA.value,
        "test_data": TEST_DATA.value,
        "num_train_images": num_train,
        "num_test_images": num_test,
        "num_classes": num_classes,
        "feature_dim": features.train.shape[1],
    }
    print(json.dumps({"evaluation": evaluation, **origin, **result}), flush=True)


def _features() -> tuple[ImageFeatures, int]:
    """Returns the function from images to features and the size of images that it is meant for."""
    if PIXELS.value is not None and RUN_DIR.value is None:
        return pixel_features(PIXELS.value), _PIXELS_SIZE_PX
    if PIXELS.value is not None or RUN_DIR.value is None:
        raise InputError("give either --run_dir for a run's features or --pixels for those of pixels")
    config, model = load_model(RUN_DIR.value, untrained=UNTRAINED.value)
    return image_features(model), config.crops.sizes_px[0]
