"""Preparing and reading many small records, in a separate process.

`python -m benchmarks.suite.small_records prepare|open|read IMAGES DIRECTORY` prints seconds and memory as a line of
JSON. The images are different JPEGs of noise, 16 px wide. The time of preparing includes the time of generating the
images.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import io
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.harness import own_process
from seer_tf.data.pipelines import read as reading
from seer_tf.data.shards.prepare import write_shards
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.shards import open_shards
from seer_tf.parallel import LocalRunner

_SIDE_PX = 16
_SHARD_BYTES = 150_000_000  # the default of prepare_shards.py


class Noise(Source):
    """Small images of noise, generated when they are read."""

    def __init__(self, num_images: int) -> None:
        """Creates the source. Names of images are generated on demand too."""
        self.ids = _Numbers(num_images)

    def read(self, index: int) -> bytes:
        """Returns a JPEG."""
        pixels = np.random.default_rng(index).integers(0, 256, [_SIDE_PX, _SIDE_PX, 3], np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG")
        return file.getvalue()


class _Numbers(Sequence[str]):
    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._length:
            raise IndexError(index)
        return str(index)


def prepare(num_images: int, directory: str) -> None:
    """Writes the images to shards, on all cores."""
    run = LocalRunner(os.cpu_count() or 1)
    write_shards(Noise(num_images), directory, ShardOptions(), run=run, shard_bytes=_SHARD_BYTES)


def open_first(num_images: int, directory: str) -> None:
    """Opens the shards and reads their last image."""
    open_shards(directory).read(num_images - 1)


def read(num_images: int, directory: str) -> None:
    """Opens the shards and reads each image once in random order, except for the last few."""
    source = open_shards(directory)
    order = np.random.default_rng(0).permutation(num_images)
    chunks = tf.data.Dataset.from_tensor_slices(order).batch(reading.IMAGES_PER_READ, drop_remainder=True)
    for _ in reading.read_files(chunks.map(lambda numbers: (numbers,)), source):
        pass


_WORK: dict[str, Callable[[int, str], None]] = {"prepare": prepare, "open": open_first, "read": read}


def _main(work: str, num_images: str, directory: str) -> None:
    own_process.report(lambda: _WORK[work](int(num_images), directory), 0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
