"""Shows how a network orders images: a map in two dimensions, and the features for TensorBoard's projector."""

import os
from collections.abc import Sequence

import numpy as np
from absl import flags

from seer_tf.cli import command, feature_flags
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import check_source, open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.data.sources.usable import usable
from seer_tf.evaluation.protocols.image_map import MIN_IMAGES, image_map
from seer_tf.files.new_directory import new_directory
from seer_tf.quantities import counted
from seer_tf.reports.image_map import placed, write_image_map
from seer_tf.reports.projector import MAX_SPRITE_PX, write_projector

_THUMBNAIL_PX = 64

DATA = command.required(flags.DEFINE_string("data", None, "Images, e.g. folder:DIR."))
OUTPUT = command.required(flags.DEFINE_string("output", None, "Directory to write; must not exist."))
MAX_IMAGES = flags.DEFINE_integer(
    "max_images",
    1000,
    "Largest number of images; a random part of a larger set is shown.",
    MIN_IMAGES,
    (MAX_SPRITE_PX // _THUMBNAIL_PX) ** 2,
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the choice of images and of the map.", 0, 2**32 - 1)

flags.adopt_module_key_flags(feature_flags)


def main() -> None:
    """Runs the command."""
    check_source(DATA.value)
    with new_directory(OUTPUT.value) as directory:
        extractor = feature_flags.request().extractor()
        source = usable(_chosen(open_source(DATA.value)))
        found = extractor.extract(source, DATA.value)
        features = {stage: rows[:] for stage, rows in found.rows.items()}
        thumbnails, classes = _thumbnails(source), _classes(source)
        write_projector(directory, features, thumbnails, source.ids, classes)
        stage = next(iter(features))
        names = [f"{name}: {label}" if label else name for name, label in zip(source.ids, classes, strict=True)]
        places = image_map(features[stage], seed=SEED.value)
        write_image_map(
            placed(list(thumbnails), places, names),
            directory / "map.html",
            title=f"Map of {DATA.value}",
            summary=f"{counted(source.num_images, 'image')} by the {stage} features of {extractor.model}, as t-SNE "
            "arranges them.",
        )
    print(f"Map:        {os.path.join(OUTPUT.value, 'map.html')}")
    print(f"Projector:  tensorboard --logdir {OUTPUT.value}")


def _chosen(source: Source) -> Source:
    """Returns all images of a source, or a random part of them."""
    if source.num_images <= MAX_IMAGES.value:
        return source
    generator = np.random.default_rng(SEED.value)
    return Selection(source, np.sort(generator.choice(source.num_images, MAX_IMAGES.value, replace=False)))


def _thumbnails(source: Source) -> np.ndarray:
    """Returns the central squares of all images, uint8 [N, side, side, 3]."""
    images = images_dataset(source, Transform(_THUMBNAIL_PX), batch_size=feature_flags.BATCH_SIZE.value)
    with unreadable_images_named():
        return np.concatenate(list(images.as_numpy_iterator()))


def _classes(source: Source) -> Sequence[str]:
    """Returns the names of the classes of each image, as one text."""
    names = source.class_names or ()
    return [", ".join(names[label] for label in source.classes_of(number)) for number in range(source.num_images)]
