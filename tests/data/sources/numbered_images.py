"""Shards of small images, each of which has a colour of its own."""

import io

import numpy as np
from PIL import Image

from seer_tf.data.shards import prepare
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources.base import Source
from seer_tf.parallel import LocalRunner

NUM_IMAGES = 40


class NumberedImages(Source):
    """Each image has one colour. Every tenth image is broken, one has a tab in its name, and one is rotated."""

    rejected = (("left.txt", "not an image"),)

    def __init__(self, labelled: bool = True) -> None:
        self.ids = [f"image\t{number}" if number == 7 else f"image {number}" for number in range(NUM_IMAGES)]
        self.class_names = ("even", "odd") if labelled else None

    @property
    def labels(self):
        return None if self.class_names is None else np.arange(NUM_IMAGES, dtype=np.int64) % 2

    def read(self, index: int) -> bytes:
        if index % 10 == 3:
            return b"hello" if index > 20 else b""
        exif = Image.Exif()
        exif[0x0112] = 6 if index == 5 else 1
        encoded = io.BytesIO()
        Image.new("RGB", (12, 9), (index, 0, 0)).save(encoded, "PNG", exif=exif)
        return encoded.getvalue()


def write_shards(directory, source=None, *, num_workers=2, shard_bytes=1000, seed=0, drop_duplicates=False, **options):
    return prepare.write_shards(
        source or NumberedImages(),
        str(directory),
        ShardOptions(**options),
        run=LocalRunner(num_workers),
        shard_bytes=shard_bytes,
        seed=seed,
        drop_duplicates=drop_duplicates,
    )
