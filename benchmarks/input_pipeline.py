"""The input pipeline beside Pillow: 2 x 224 + 4 x 96 crops, from photos as they are and from JPEGs of 500 x 375.

Pillow makes the same crops in as many processes as there are cores, and hands them over as arrays; all contestants take
turns in one run: `python benchmarks/input_pipeline.py --photos=DIR`. What is timed passes the pixel tests of
tests/data/multicrop_test.py and augment_test.py.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import io
import multiprocessing
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags
from PIL import Image, ImageOps

from benchmarks import pillow_crops, timing
from seer_tf.config import CropsConfig
from seer_tf.data import decode, reading
from seer_tf.data.files import FilesSource
from seer_tf.data.folder import open_folder
from seer_tf.data.pretraining import pretraining_dataset
from seer_tf.data.replacing import ReplacingSource
from seer_tf.data.source import Source

PHOTOS = flags.DEFINE_string("photos", None, "Directory of photographs.", required=True)
ROUNDS = flags.DEFINE_integer("rounds", 7, "How often each contestant is timed.", 1)
BATCHES = flags.DEFINE_integer("batches", 12, "Batches in one round.", 1)

_BATCH = 32
_CROPS = CropsConfig()
_SMALL_PX = (500, 375)
_JPEG_QUALITY = 90


class _InMemory(Source):
    """Encoded images, so that no disk is timed."""

    is_verified = True

    def __init__(self, encoded: list[bytes]) -> None:
        self.ids, self._encoded = [str(number) for number in range(len(encoded))], encoded

    def read(self, index: int) -> bytes:
        return self._encoded[index]


def main(_: list[str]) -> None:
    """Runs the benchmark and prints a table for each kind of image."""
    photos = open_folder(PHOTOS.value)
    usable = [encoded for encoded in _read_all(photos) if decode.reject_reason(encoded) is None]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for title, encoded in [("500 x 375", [_made_small(image) for image in usable]), ("photos as they are", usable)]:
            contestants = _contestants(_InMemory(encoded))
            contestants["Pillow in processes"] = _pillow(pool, encoded)
            seconds = timing.alternate(contestants, rounds=ROUNDS.value)
            images = BATCHES.value * _BATCH
            timing.report(f"{images} images, {title}", seconds, ours="all on the host", images=images)


def _read_all(source: FilesSource) -> list[bytes]:
    return [source.read(number) for number in range(source.num_images)]


def _made_small(encoded: bytes) -> bytes:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB")
    size = _SMALL_PX if image.width >= image.height else _SMALL_PX[::-1]
    small = io.BytesIO()
    ImageOps.fit(image, size, Image.Resampling.LANCZOS).save(small, "JPEG", quality=_JPEG_QUALITY)
    return small.getvalue()


def _contestants(source: Source) -> dict[str, Callable[[], None]]:
    """The pipeline, and what is left of it when later stages are taken away."""
    stages = {
        "reading": _stage(source, lambda file: tf.shape(file.encoded)),
        "+ decoding": _stage(source, lambda file: tf.shape(decode.decode_image(file.encoded, file.orientations))),
        "+ crops = host part of accelerator": _pipeline(source, distort_here=False),
        "all on the host": _pipeline(source, distort_here=True),
    }
    return {name: _taking(dataset) for name, dataset in stages.items()}


def _pipeline(source: Source, *, distort_here: bool) -> tf.data.Dataset:
    return pretraining_dataset(
        ReplacingSource(source, 0.0),
        _CROPS,
        local_batch_size=_BATCH,
        global_batch_size=_BATCH,
        first_image_in_batch=0,
        seed=0,
        first_step=0,
        distort_here=distort_here,
    )


def _stage(source: Source, function: Callable[[reading.Files], tf.Tensor]) -> tf.data.Dataset:
    numbers = tf.data.Dataset.range(source.num_images).repeat().batch(reading.IMAGES_PER_READ, drop_remainder=True)
    files = reading.read_files(numbers.map(lambda chunk: (chunk,)), source).map(lambda file, _: (file,)).unbatch()
    results = files.map(function, num_parallel_calls=tf.data.AUTOTUNE)
    return results.batch(_BATCH).prefetch(tf.data.AUTOTUNE).with_options(reading.options())


def _taking(dataset: tf.data.Dataset) -> Callable[[], None]:
    """Returns a function that takes a round's batches, each time from a new iterator, so that none was made ahead."""

    def take() -> None:
        for _ in dataset.take(BATCHES.value):
            pass

    return take


def _pillow(pool: Any, encoded: list[bytes]) -> Callable[[], None]:
    order = np.random.default_rng(0).permutation(len(encoded))

    def take() -> None:
        tasks = [(encoded[order[number % len(order)]], number) for number in range(BATCHES.value * _BATCH)]
        crops = pool.map(pillow_crops.multicrop, tasks, chunksize=4)
        for start in range(0, len(crops), _BATCH):
            for group in range(len(_CROPS.num)):
                np.stack([image[group] for image in crops[start : start + _BATCH]])

    return take


if __name__ == "__main__":
    app.run(main)
