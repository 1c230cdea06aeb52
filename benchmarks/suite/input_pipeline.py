"""The input pipeline beside Pillow: 2 x 224 + 4 x 96 crops, from original photos and from JPEGs of 500 x 375.

Pillow makes the same crops in one process per core and returns arrays. The processes start before the measurement. Our
crops come from a pipeline that is already running, because a run starts its pipeline once. Further rows show the
pipeline without its later stages. The timed code passes the pixel tests in `tests/data/augment`.
"""

import functools
import io
import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.pool import Pool
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from benchmarks.harness.comparison import Case, Comparison, Contestant, compare
from benchmarks.harness.settings import Settings
from benchmarks.peers import pillow_crops
from seer_tf.config import CropsConfig
from seer_tf.data.images import acceptance, decode
from seer_tf.data.pipelines import read as reading
from seer_tf.data.pipelines.pretraining import pretraining_dataset
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.folder import open_folder
from seer_tf.data.sources.image_files import FilesSource
from seer_tf.data.sources.replacing import ReplacingSource

_BATCHES, _QUICK_BATCHES = 12, 1
_BATCHES_BEFORE = 4  # untimed batches at the start: more than the pipeline prefetches
_BATCH = 32
_CROPS = CropsConfig()
_SMALL_PX = (500, 375)
_JPEG_QUALITY = 90
#: The work of the host: all of it, or only its part if the step distorts the crops.
_WORK = {"all on the host": True, "host's part with --augment_on=accelerator": False}


def cases(settings: Settings) -> Iterator[Case]:
    """Yields the whole work and the work of the host alone, for both kinds of images."""
    num_batches = _QUICK_BATCHES if settings.quick else _BATCHES
    kinds: dict[str, Callable[[bytes], bytes]] = {"500 x 375": _made_small, "photos as they are": bytes}
    for kind, prepare in kinds.items():
        for work, distort_here in _WORK.items():
            title = f"crops of {num_batches * _BATCH} images, {kind}, {work}"
            yield Case(title, functools.partial(_beside_pillow, settings.photos, prepare, num_batches, distort_here))


def _beside_pillow(
    directory: str | None,
    prepare: Callable[[bytes], bytes],
    num_batches: int,
    distort_here: bool,
    title: str,
    rounds: int,
) -> Comparison:
    encoded = [prepare(image) for image in _usable(directory)]
    source = _InMemory(encoded)
    datasets = {
        "seer_tf": _pipeline(source, distort_here=distort_here),
        "decoding alone": _stage(source, lambda file: tf.shape(decode.decode_image(file.encoded, file.orientations))),
        "reading alone": _stage(source, lambda file: tf.shape(file.encoded)),
    }
    streams = {name: _Stream(dataset, num_batches) for name, dataset in datasets.items()}
    contestants: dict[str, Contestant] = {name: stream.take for name, stream in streams.items()}
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        contestants["Pillow in processes"] = _pillow(pool, encoded, num_batches)
        return compare(
            title,
            contestants,
            rounds=rounds,
            num_images=num_batches * _BATCH,
            prepare={name: stream.begin for name, stream in streams.items()},
        )


class _InMemory(Source):
    """Encoded images in memory, so that no disk is timed."""

    is_verified = True

    def __init__(self, encoded: list[bytes]) -> None:
        self.ids, self._encoded = [str(number) for number in range(len(encoded))], encoded

    def read(self, index: int) -> bytes:
        return self._encoded[index]


def _usable(directory: str | None) -> list[bytes]:
    photos = open_folder(directory) if directory else FilesSource("", load_sample_images().filenames)
    images = (photos.read(number) for number in range(photos.num_images))
    return [image for image in images if acceptance.reject_reason(image) is None]


def _made_small(encoded: bytes) -> bytes:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB")
    size = _SMALL_PX if image.width >= image.height else _SMALL_PX[::-1]
    small = io.BytesIO()
    ImageOps.fit(image, size, Image.Resampling.LANCZOS).save(small, "JPEG", quality=_JPEG_QUALITY)
    return small.getvalue()


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


class _Stream:
    """A dataset whose batches are taken in rounds. Each round uses a pipeline that started before the clock."""

    def __init__(self, dataset: tf.data.Dataset, num_batches: int) -> None:
        self._dataset, self._num_batches = dataset, num_batches
        self._batches: Iterator[Any] = iter(())

    def begin(self) -> None:
        """Starts a new pipeline and takes its first batches, so that no prefetched batch is left when timing starts."""
        self._batches = iter(self._dataset)
        for _ in range(_BATCHES_BEFORE):
            next(self._batches)

    def take(self) -> None:
        """Takes the batches of a round. Then stops the pipeline, which would disturb the next contestant."""
        for _ in range(self._num_batches):
            next(self._batches)
        self._batches = iter(())


def _pillow(pool: Pool, encoded: list[bytes], num_batches: int) -> Contestant:
    order = np.random.default_rng(0).permutation(len(encoded))

    def take() -> None:
        tasks = [(encoded[order[number % len(order)]], number) for number in range(num_batches * _BATCH)]
        crops = pool.map(pillow_crops.multicrop, tasks, chunksize=4)
        for start in range(0, len(crops), _BATCH):
            for group in range(len(_CROPS.num)):
                np.stack([image[group] for image in crops[start : start + _BATCH]])

    return take
