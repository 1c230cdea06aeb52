"""One shard: its images read, judged, made smaller where asked, and written with their entries.

A task says all that a worker needs to write any shard, and goes to other processes and machines.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from seer_tf import parallel
from seer_tf.data.images import decode, formats
from seer_tf.data.images.formats import UnreadableImageError, UnusableImageError
from seer_tf.data.shards import example, ledger, near_duplicates, tfrecord
from seer_tf.data.sources import shards
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import storage

#: What is known of each record of a shard while shards are made.
ENTRY = np.dtype(
    [
        ("offset", "<i8"),
        ("length", "<i8"),
        ("label", "<i8"),
        ("image", "<i8"),
        ("height", "<i4"),
        ("width", "<i4"),
        ("format", "<i4"),
        ("look", "u1", near_duplicates.LOOK_SHAPE),
    ]
)
_JPEG_QUALITY = 95
_MAX_UNREADABLE_FRACTION = 0.01


@dataclasses.dataclass(frozen=True)
class ShardOptions:
    """What is done to each image.

    Attributes:
        longest_side_px: larger images are made so small, upright and JPEG; 0 keeps the bytes of every image.
        keep_truncated: whether JPEG files that end early are taken, grey where their data ended.
    """

    longest_side_px: int = 0
    keep_truncated: bool = False


@dataclasses.dataclass(frozen=True)
class PreparedImage:
    """An image as it goes into a shard, or why it does not.

    Attributes:
        encoded: its bytes.
        header: format and size.
        look: by `near_duplicates.look`; black, which is like nothing, where there is no image.
        reason: why it cannot be used, or None.
        is_readable: whether its bytes could be had.
    """

    encoded: bytes = b""
    header: formats.Header | None = None
    look: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(near_duplicates.LOOK_SHAPE, np.uint8))
    reason: str | None = None
    is_readable: bool = True

    @property
    def num_bytes(self) -> int:
        """Size of the encoded image."""
        return len(self.encoded)


def prepared(source: Source, index: int, options: ShardOptions) -> PreparedImage:
    """Reads, decodes and judges image `index`; every pixel is decoded once."""
    try:
        encoded = source.read(index)
    except UnusableImageError as error:
        return PreparedImage(reason=str(error), is_readable=not isinstance(error, UnreadableImageError))
    image, reason = decode.judged(encoded)
    if image is None and options.keep_truncated:
        completed = decode.completed_jpeg(encoded)
        if completed is not None:
            encoded, (image, reason) = completed, decode.judged(completed)
    if image is None:
        return PreparedImage(reason=reason)
    look = near_duplicates.look(image)
    if 0 < options.longest_side_px < max(image.shape):
        encoded = _made_smaller(decode.upright(image, decode.exif_orientation(encoded)), options.longest_side_px)
    return PreparedImage(encoded, formats.read_header(encoded), look)


def prepared_in_order(
    source: Source, indices: Sequence[int], prepare: Callable[[int], PreparedImage], num_threads: int
) -> Iterator[PreparedImage]:
    """Yields what `prepare` makes of each image.

    Raises:
        InputError: more than one image in a hundred cannot be read any more, though its header could when the source
            was opened: what is wrong then is the place, and shards without those images would pass for finished.
    """
    num_unreadable = 0
    for index, image in zip(indices, parallel.in_order(prepare, indices, num_threads), strict=True):
        num_unreadable += not image.is_readable
        if num_unreadable > _MAX_UNREADABLE_FRACTION * len(indices):
            raise InputError(
                f"{source.ids[index]}: {image.reason}, like {num_unreadable - 1} images before it that were there when "
                "the work began; see what became of them, and run it again: it goes on from there."
            )
        yield image


def _made_smaller(image: tf.Tensor, longest_side_px: int) -> bytes:
    height, width = image.shape[:2]
    scale = longest_side_px / max(height, width)
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    pixels = tf.image.resize(image, size, antialias=True)
    return tf.io.encode_jpeg(tf.cast(tf.round(pixels), tf.uint8), quality=_JPEG_QUALITY).numpy()


def shard_path(directory: str, number: int, num_shards: int) -> str:
    """Returns where shard `number` lies."""
    return os.path.join(directory, f"images-{number:05d}-of-{num_shards:05d}.tfrecord")


def entries_path(shard: str) -> str:
    """Returns where a shard's entries lie until all shards are finished."""
    return f"{shard.removesuffix('.tfrecord')}.entries"


def looks_path(shard: str) -> str:
    """Returns where the looks of a shard's images lie, before near-duplicates are dropped."""
    return f"{shard.removesuffix('.tfrecord')}.looks"


def rejected_path(shard: str) -> str:
    """Returns where a shard's part of the ledger lies until all shards are finished."""
    return f"{shard.removesuffix('.tfrecord')}.rejected.tsv"


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """Writes shards by number.

    Attributes:
        source: the images.
        directory: of the shards.
        parts: numbers of the images of each shard, in order.
        options: what is done to each image.
        dropped: images to leave out, each with the one that it looks like.
    """

    source: Source
    directory: str
    parts: Sequence[np.ndarray]
    options: ShardOptions
    dropped: dict[int, int]

    def path(self, number: int) -> str:
        """Returns where shard `number` lies."""
        return shard_path(self.directory, number, len(self.parts))

    def __call__(self, number: int, num_threads: int = 1) -> None:
        """Writes shard `number`, its entries and its part of the ledger; the shard gets its name last."""
        path = self.path(number)
        entries, rejected, offset = [], [], 0
        indices = self.parts[number].tolist()
        images = prepared_in_order(self.source, indices, self._prepared, num_threads)
        with storage.atomic_file(path) as unfinished, tf.io.TFRecordWriter(unfinished) as writer:
            for index, image in zip(indices, images, strict=True):
                if image.reason is not None or image.header is None:
                    rejected.append((self.source.ids[index], str(image.reason)))
                    continue
                classes = self.source.classes_of(index)
                record = example.serialized(image.encoded, image.header, self.source.ids[index], classes)
                writer.write(record)
                label = classes[0] if len(classes) == 1 else shards.SEVERAL_LABELS if classes else shards.NO_LABEL
                size = (image.header.height_px, image.header.width_px)
                kind = formats.FORMATS.index(image.header.format)
                entries.append((offset, len(record), label, index, *size, kind, image.look))
                offset += tfrecord.framed_bytes(len(record))
        storage.write(rejected_path(path), ledger.lines(rejected).encode())
        storage.write(entries_path(path), np.array(entries, ENTRY).tobytes())
        storage.rename(unfinished, path)

    def _prepared(self, index: int) -> PreparedImage:
        if index in self.dropped:
            return PreparedImage(reason=f"near-duplicate of {self.source.ids[self.dropped[index]]}")
        return prepared(self.source, index, self.options)
