"""A very small network with all parts, and images for its export."""

from pathlib import Path

import keras
import numpy as np
from PIL import Image

from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.folder import FolderSource
from seer_tf.models import RegNetY, SwavHead
from seer_tf.models.backbones.regnet import published
from seer_tf.models.backbones.regnet.design import RegNetDesign
from seer_tf.networks.network import Network

SIZE_PX = 32
NUM_FEATURES, NUM_EMBEDDING, NUM_PROTOTYPES = 32, 8, 12
CLASS_NAMES = ("one", "zwei, deux", "три")
DESIGN = RegNetDesign(depth=2, w_0=16, w_a=16.0, w_m=2.0, group_width=8)


def tiny_network(*, dtype: str = "float32") -> Network:
    """Returns a network of two stages whose moving statistics differ from those of any batch."""
    keras.utils.set_random_seed(3)
    backbone = RegNetY(design=DESIGN, dtype=dtype)
    for number, variable in enumerate(backbone.non_trainable_variables):
        variable.assign(variable + 0.02 * (number % 7))
    head = SwavHead((24,), NUM_EMBEDDING, NUM_PROTOTYPES, dtype=dtype)
    classifier = keras.layers.Dense(len(CLASS_NAMES), name="logits", dtype=dtype)
    for layer in (head, classifier):
        layer.build((None, NUM_FEATURES))
    return Network(
        backbone,
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        Transform(SIZE_PX),
        head=head,
        classifier=classifier,
        class_names=CLASS_NAMES,
        metadata={"variant": "of two stages", "training_data": "noise", "licence": None},
    )


def under_seers_licence(backbone: RegNetY) -> RegNetY:
    """Returns a copy of a backbone with SEER's licence, as if it were converted from SEER's weights."""
    copy = RegNetY.from_config({**backbone.get_config(), "licence": published.LICENCE})
    copy.set_weights(backbone.get_weights())
    return copy


def folder_of_images(directory: Path, num_images: int = 12) -> FolderSource:
    """Writes smooth noise in different sizes as JPEG, with EXIF orientations, and one file that does not decode."""
    generator = np.random.default_rng(0)
    for number in range(num_images):
        coarse = Image.fromarray(generator.integers(0, 256, [6, 7, 3], np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        coarse.resize((40 + 3 * number, 70 - 2 * number)).save(directory / f"{number}.jpg", exif=exif)
    (directory / "cut.jpg").write_bytes((directory / "0.jpg").read_bytes()[:300])
    return FolderSource(str(directory), sorted(file.name for file in directory.iterdir()))
