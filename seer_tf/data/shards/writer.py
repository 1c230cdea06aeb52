"""Writes one shard: reads its images, checks them, makes them smaller where asked, and notes an entry for each.

A job holds all that a worker needs to write any shard, and is sent to other processes and machines.
"""

import collections
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from seer_tf import parallel
from seer_tf.data.images import acceptance, conversion, decode, formats
from seer_tf.data.images.formats import UnreadableImageError, UnusableImageError
from seer_tf.data.shards import example, ledger, near_duplicates, notes, tfrecord
from seer_tf.data.shards.index import NO_LABEL, SEVERAL_LABELS
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.quantities import counted

_JPEG_QUALITY = 95
_MADE_SMALLER = f"made smaller, stored as JPEG of quality {_JPEG_QUALITY}"
_MAX_UNREADABLE_FRACTION = 0.01


@dataclasses.dataclass(frozen=True)
class ShardOptions:
    """The processing of each image.

    Attributes:
        longest_side_px: Largest length of the longer side; larger images are resized, turned upright and encoded as
            JPEG. 0 keeps the bytes of every image.
        keep_truncated: Whether to keep JPEG files that end early; their missing part is grey.
    """

    longest_side_px: int = 0
    keep_truncated: bool = False


@dataclasses.dataclass(frozen=True)
class PreparedImage:
    """An image for a shard, or the reason why it cannot be used.

    Attributes:
        encoded: Bytes of the image.
        header: Format and size.
        thumbnail: Thumbnail as from `near_duplicates.make_thumbnail`; black, which resembles no image, for a bad image.
        done: What was done to the image, as from `conversion.prepared`; empty for one that keeps its bytes.
        found: What its file has, as from `conversion.prepared`.
        reason: Reason why the image cannot be used, or None.
        is_readable: Whether the bytes of the image can be read.
    """

    encoded: bytes = b""
    header: formats.Header | None = None
    thumbnail: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros(near_duplicates.THUMBNAIL_SHAPE, np.uint8)
    )
    done: tuple[str, ...] = ()
    found: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reason: str | None = None
    is_readable: bool = True

    @property
    def num_bytes(self) -> int:
        """Size of the encoded image."""
        return len(self.encoded)


def prepare_image(source: Source, index: int, options: ShardOptions) -> PreparedImage:
    """Reads, converts, decodes and checks image `index`; an image that keeps its bytes is decoded once."""
    try:
        prepared, image = _decoded(source.read(index), options.keep_truncated)
    except UnusableImageError as error:
        return PreparedImage(reason=str(error), is_readable=not isinstance(error, UnreadableImageError))
    thumbnail, stored, done = near_duplicates.make_thumbnail(image), prepared.encoded, prepared.done
    if 0 < options.longest_side_px < max(image.shape):
        upright = decode.turn_upright(image, decode.exif_orientation(stored))
        stored = _encode_smaller(upright, options.longest_side_px)
        done = (*done, _MADE_SMALLER)
    return PreparedImage(stored, formats.read_header(stored), thumbnail, done, prepared.found)


def _decoded(encoded: bytes, keep_truncated: bool) -> tuple[conversion.Prepared, tf.Tensor]:
    """Returns an image as it goes into shards, and its pixels as they are stored, uint8 `[h, w, 3]`."""
    try:
        prepared = conversion.prepared(encoded)
        return prepared, acceptance.decoded(prepared.encoded)
    except UnusableImageError:
        completed = acceptance.complete_jpeg(encoded) if keep_truncated else None
        if completed is None:
            raise
    return _decoded(completed, keep_truncated=False)


def prepare_in_order(
    source: Source, indices: Sequence[int], prepare: Callable[[int], PreparedImage], num_threads: int
) -> Iterator[PreparedImage]:
    """Yields the result of `prepare` for each image, in order.

    Raises:
        InputError: More than one image in a hundred cannot be read any more, although its header was read when the
            source was opened. Probably the files have moved, and shards without those images would look complete.
    """
    num_unreadable = 0
    for index, image in zip(indices, parallel.in_order(prepare, indices, num_threads), strict=True):
        num_unreadable += not image.is_readable
        if num_unreadable > _MAX_UNREADABLE_FRACTION * len(indices):
            raise InputError(
                f"{source.ids[index]}: {image.reason}, like {counted(num_unreadable - 1, 'image')} before it, although "
                "they could be read when the work began; put them back and run the same again: it continues from there."
            )
        yield image


def _encode_smaller(image: tf.Tensor, longest_side_px: int) -> bytes:
    height, width = image.shape[:2]
    scale = longest_side_px / max(height, width)
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    pixels = tf.image.resize(image, size, antialias=True)
    return tf.io.encode_jpeg(tf.cast(tf.round(pixels), tf.uint8), quality=_JPEG_QUALITY).numpy()


def shard_path(directory: str, number: int, num_shards: int) -> str:
    """Returns the path of shard `number`."""
    return os.path.join(directory, f"images-{number:05d}-of-{num_shards:05d}.tfrecord")


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """Writes shards by number.

    Attributes:
        source: Images.
        directory: Directory of the shards.
        parts: Numbers of the images of each shard, in order.
        options: Processing of each image.
        dropped: Images to leave out, each with the earlier image that it looks like.
    """

    source: Source
    directory: str
    parts: Sequence[np.ndarray]
    options: ShardOptions
    dropped: dict[int, int]

    def path(self, number: int) -> str:
        """Returns the path of shard `number`."""
        return shard_path(self.directory, number, len(self.parts))

    def __call__(self, number: int, num_threads: int = 1) -> None:
        """Writes shard `number` and the notes about its files; the shard gets its name last."""
        path = self.path(number)
        entries, rejected, converted, offset = [], [], [], 0
        found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        indices = self.parts[number].tolist()
        images = prepare_in_order(self.source, indices, self._prepare, num_threads)
        with storage.atomic_file(path) as unfinished:
            with tf.io.TFRecordWriter(unfinished) as writer:
                for index, image in zip(indices, images, strict=True):
                    if image.reason is not None or image.header is None:
                        rejected.append((self._name(index), ledger.cell(str(image.reason))))
                        continue
                    record, entry = self._record(index, image, image.header)
                    writer.write(record)
                    entries.append((offset, len(record), *entry))
                    offset += tfrecord.framed_bytes(len(record))
                    if image.done:
                        converted.append((self._name(index), ledger.cell("; ".join(image.done))))
                    for key, value in image.found.items():
                        found[key][value] += 1
            notes.write(path, np.array(entries, notes.ENTRY), rejected, converted, found)

    def _name(self, index: int) -> str:
        return ledger.cell(self.source.ids[index])

    def _prepare(self, index: int) -> PreparedImage:
        if index in self.dropped:
            return PreparedImage(reason=f"near-duplicate of {self.source.ids[self.dropped[index]]}")
        return prepare_image(self.source, index, self.options)

    def _record(self, index: int, image: PreparedImage, header: formats.Header) -> tuple[bytes, tuple]:
        """Returns the record of an image, and its entry without offset and length."""
        classes = self.source.classes_of(index)
        label = classes[0] if len(classes) == 1 else SEVERAL_LABELS if classes else NO_LABEL
        kind = formats.FORMATS.index(header.format)
        absent = self.source.absent_of(index)
        record = example.serialize(image.encoded, header, self.source.ids[index], classes, absent)
        return record, (label, index, header.height_px, header.width_px, kind, image.thumbnail)
