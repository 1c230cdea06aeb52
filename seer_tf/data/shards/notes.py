"""Notes on a shard, which exist until all shards are finished.

    images-00000-of-00128.entries       what is known about each record, as an array of `ENTRY`
    images-00000-of-00128.notes.json    files that were rejected or converted, what was found, CRC-32C of the entries
    images-00000-of-00128.thumbnails    thumbnails of the shard's images, if near-duplicates are dropped

A file that differs from what was written costs its shard, which is written again.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import google_crc32c
import numpy as np

from seer_tf.data.shards import near_duplicates
from seer_tf.files import sealed_json, storage

#: What is known about each record while shards are written.
ENTRY = np.dtype(
    [
        ("offset", "<i8"),
        ("length", "<i8"),
        ("label", "<i8"),
        ("image", "<i8"),
        ("height", "<i4"),
        ("width", "<i4"),
        ("format", "<i4"),
        ("thumbnail", "u1", near_duplicates.THUMBNAIL_SHAPE),
    ]
)


@dataclasses.dataclass(frozen=True)
class Notes:
    """Notes on the files of a shard.

    Attributes:
        rejected: Name of each file that was left out, and the reason.
        converted: Name of each file that was converted, and what was done to it.
        found: Numbers of files by what was found, such as a format, and its kind.
        entries_crc32c: CRC-32C of the entries.
    """

    rejected: tuple[tuple[str, str], ...]
    converted: tuple[tuple[str, str], ...]
    found: dict[str, dict[str, int]]
    entries_crc32c: int


def write(
    shard: str,
    entries: np.ndarray,
    rejected: Sequence[tuple[str, str]],
    converted: Sequence[tuple[str, str]],
    found: Mapping[str, Mapping[str, int]],
) -> None:
    """Writes the entries, `[images]` of `ENTRY`, and the notes of a shard; the arguments are as in `Notes`."""
    content = entries.tobytes()
    storage.write(_path(shard, "entries"), content)
    counts = {what: dict(numbers) for what, numbers in found.items()}
    notes = Notes(tuple(rejected), tuple(converted), counts, google_crc32c.value(content))
    storage.write(_path(shard, "notes.json"), sealed_json.line(dataclasses.asdict(notes)).encode())


def read(shard: str) -> tuple[np.ndarray, Notes]:
    """Returns the entries and the notes of a shard.

    Raises:
        OSError, ValueError: A file is missing or damaged.
    """
    notes = sealed_json.read(storage.read(_path(shard, "notes.json")), Notes)
    content = storage.read(_path(shard, "entries"))
    if google_crc32c.value(content) != notes.entries_crc32c:
        raise ValueError("the checksum of the entries differs")
    return np.frombuffer(content, ENTRY), notes


def thumbnails_path(shard: str) -> str:
    """Returns the path of the thumbnails of a shard's images."""
    return _path(shard, "thumbnails")


def remove(shard: str) -> None:
    """Removes all notes on a shard."""
    for suffix in ("entries", "notes.json", "thumbnails"):
        storage.remove(_path(shard, suffix))


def _path(shard: str, suffix: str) -> str:
    return f"{shard.removesuffix('tfrecord')}{suffix}"
