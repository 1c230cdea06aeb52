"""The endless stream of multi-crop batches, with its position.

Element p of the stream is an image of epoch p // N, where N is the number of images; `order.py` says which. The seed
of its crops is a function of (seed, epoch, image). Step t takes positions [t * G, (t + 1) * G) over all workers, where
G is the global batch size, and each worker takes its slice. An element is a function of p alone, so a run can continue
at any step.

An image goes through these calls, in this order:

    order.images_at   position p -> number of the image, and a key for its crops
    read.read_files   number -> encoded bytes, orientation and size (`ReplacingSource.read`)
    multicrop.draw    size and key -> boxes, and the random numbers of the distortions
    _cut              bytes and boxes -> pixels (`decode.decode_image`) -> crops (`multicrop.cut`)
    multicrop.distort_groups   crops -> flipped, coloured and blurred crops
"""

from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf
from absl import logging

from seer_tf.config import CropsConfig
from seer_tf.data.augment import multicrop
from seer_tf.data.images import limits
from seer_tf.data.pipelines import read
from seer_tf.data.pipelines.order import Order, images_at
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.parallel import num_cores

# Fixed numbers, because AUTOTUNE may use half of the memory for elements that are prepared ahead.
_NUM_CORES = num_cores()
_IN_PARALLEL: dict[str, Any] = {"num_parallel_calls": _NUM_CORES, "deterministic": True}
_BATCHES_AHEAD = 2


class Crops(NamedTuple):
    """Crops that are not distorted yet, from one image or, with a leading batch axis, from a batch.

    Attributes:
        groups: Crops of each group, uint8 `[num, side, side, 3]`.
        chances: Uniform random numbers, float32 `[V, draws]` for the V crops of all groups, as in
            `multicrop.num_distortion_draws`.
    """

    groups: tuple[tf.Tensor, ...]
    chances: tf.Tensor


#: The input of a step: crops for the network, or crops that the step itself distorts.
Batch: TypeAlias = tuple[tf.Tensor, ...] | Crops


def pretraining_dataset(
    source: ReplacingSource,
    crops: CropsConfig,
    *,
    local_batch_size: int,
    global_batch_size: int,
    first_image_in_batch: int,
    seed: int,
    first_step: int,
    distort_here: bool = True,
    order: Order = images_at,
) -> tf.data.Dataset:
    """Returns the endless dataset of the batches of one worker, from `first_step` on.

    Args:
        source: Images; the replacement for a bad image gets its place and its random numbers.
        crops: Numbers, sizes and distortions of the crops.
        local_batch_size: Images per batch of this worker.
        global_batch_size: Images per batch of all workers together.
        first_image_in_batch: Position in the global batch where the slice of this worker begins.
        seed: Seed of the order and of the crops.
        first_step: Step whose batch comes first.
        distort_here: Whether this dataset flips, colours and blurs the crops; otherwise the step does.
        order: Order of the images.

    Returns:
        Tuples with one component per group of crops: uint8 `[local_batch_size, num, side, side, 3]`. Without
        `distort_here`: `Crops` of these and of the random numbers for `multicrop.distort_groups`.
    """
    made, decoding = (num_bytes / 1e6 for num_bytes in max_bytes(crops, local_batch_size))
    logging.info("Input pipeline: at most %.0f MB of crops and %.0f MB of images being decoded", made, decoding)

    # None of these functions has Python control flow that autograph must convert, and looking for it takes seconds.
    @tf.autograph.experimental.do_not_convert
    def find(local: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        step, image = local // local_batch_size, local % local_batch_size
        return order(step * global_batch_size + first_image_in_batch + image, source.num_images, seed)

    @tf.autograph.experimental.do_not_convert
    def draw(files: read.Files, images: tf.Tensor, keys: tf.Tensor) -> tuple:
        seeds = tf.stack([keys, images], axis=1)
        return files, images, keys, multicrop.draw(files.sizes, crops, seeds)

    @tf.autograph.experimental.do_not_convert
    def cut(file: read.Files, image: tf.Tensor, key: tf.Tensor, drawn: multicrop.Draws) -> Crops:
        return Crops(_cut(file, image, key, drawn, source, crops), drawn.chances)

    @tf.autograph.experimental.do_not_convert
    def distort(cuts: Crops) -> tuple[tf.Tensor, ...]:
        return multicrop.distort_groups(cuts.groups, cuts.chances, crops, one_by_one=True)

    elements = tf.data.Dataset.range(first_step * local_batch_size, tf.int64.max)
    chunks = elements.batch(read.IMAGES_PER_READ, drop_remainder=True).map(find)
    files = read.read_files(chunks, source)
    batches = files.map(draw).unbatch().map(cut, **_IN_PARALLEL)
    # Large crops are distorted image by image, so that they stay in the cache; small crops are distorted by the batch.
    if distort_here and multicrop.is_compiled(crops):
        batches = batches.map(distort, **_IN_PARALLEL)
    batches = batches.batch(local_batch_size, drop_remainder=True)
    if distort_here and not multicrop.is_compiled(crops):
        batches = batches.map(distort, **_IN_PARALLEL)
    return batches.prefetch(_BATCHES_AHEAD).with_options(read.options())


def max_bytes(crops: CropsConfig, local_batch_size: int) -> tuple[int, int]:
    """Returns the largest number of bytes that the pipeline of one worker holds, for any number of images.

    Args:
        crops: Numbers and sizes of the crops.
        local_batch_size: Images per batch of this worker.

    Returns:
        Bytes of finished crops: batches that are prefetched, assembled, distorted and in use. Bytes of images being
        decoded: one image per core at twice `limits.DECODED_BYTES`, because the decoders of PNG, WebP and
        progressive JPEG hold their own copy beside the pixels that they return.
    """
    of_image = sum(3 * num * side**2 for num, side in zip(crops.num, crops.sizes_px, strict=True))
    num_batches = _BATCHES_AHEAD + 2 + (0 if multicrop.is_compiled(crops) else _NUM_CORES)
    return num_batches * local_batch_size * of_image, 2 * _NUM_CORES * limits.DECODED_BYTES.largest


def distorted(batch: Batch, crops: CropsConfig) -> tuple[tf.Tensor, ...]:
    """Returns the crops of a batch for the network: uint8 `[B, num, side, side, 3]` for each group."""
    if isinstance(batch, Crops):
        return multicrop.distort_groups(batch.groups, batch.chances, crops, one_by_one=False)
    return batch


def _cut(
    file: read.Files,
    image: tf.Tensor,
    key: tf.Tensor,
    drawn: multicrop.Draws,
    source: ReplacingSource,
    crops: CropsConfig,
) -> tuple[tf.Tensor, ...]:
    """Decodes one image and cuts its crops; if it does not decode, cuts its replacement with the same key."""

    def cut_decoded(pixels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return multicrop.cut(pixels, crops, drawn.corners, drawn.boxes, tf.gather(multicrop.RATIOS, drawn.shrink))

    def cut_replacement() -> tuple[tf.Tensor, ...]:
        other = read.decode_replacement(image, source)
        again = multicrop.draw(tf.shape(other)[None, :2], crops, tf.stack([key, image])[None])
        return multicrop.cut(other, crops, again.corners[0], again.boxes[0])

    pixels = read.decode_or_nothing(file, drawn.shrink, is_verified=source.is_verified)
    return tf.cond(tf.size(pixels) > 0, lambda: cut_decoded(pixels), cut_replacement)
