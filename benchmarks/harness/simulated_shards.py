"""Shards of any number of images without bytes, on a simulated file system that takes a while for each call.

All records are equal, so every part of every file follows from its place, and nothing is stored. `far://MS/IMAGES` is
the directory of the shards of so many images; each call takes so many milliseconds.
"""

import functools
import io
import itertools
import json
import tempfile
import time
from typing import Any

import fsspec
import google_crc32c
import numpy as np
import tensorflow as tf

from seer_tf.data.shards import example, tfrecord
from seer_tf.data.shards.index import NO_LABEL
from seer_tf.data.sources import shards

#: A shard of 1 GB has so many images of 100 kB.
IMAGES_PER_SHARD = 10_000
#: A larger index is not read whole, so its checksum is not compared.
_MOST_CHECKED = 1_000_000
_ROW_BYTES = 24


class FarAway(fsspec.AbstractFileSystem):
    """The simulated file system."""

    protocol = "far"
    cachable = True
    num_calls = itertools.count()

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Returns a part of a file."""
        self._call(path)
        size = _size(path)
        return _part(path, start or 0, size if end is None else min(end, size))

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Returns name, size and type of a file or of the directory."""
        self._call(path)
        try:
            return {"name": path, "size": _size(path), "type": "file"}
        except ValueError:
            return {"name": path, "size": 0, "type": "directory"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Returns the files of the directory; each call has a thousand of them, as with S3."""
        num_images = int(self._strip_protocol(path).split("/")[1])
        names = [shards.MANIFEST, shards.INDEX, *(line["name"] for line in json.loads(_manifest(num_images))["shards"])]
        for _page in range(0, len(names), 1000):
            self._call(path)
        found = [{"name": f"{path}/{name}", "size": _size(f"{path}/{name}"), "type": "file"} for name in names]
        return found if detail else [file["name"] for file in found]

    def _call(self, path: str) -> None:
        next(FarAway.num_calls)
        time.sleep(float(self._strip_protocol(path).split("/")[0]) / 1000)


fsspec.register_implementation("far", FarAway, clobber=True)


def calls_so_far() -> int:
    """Returns the number of calls, this one included."""
    return next(FarAway.num_calls)


def _size(path: str) -> int:
    num_images, name = _parsed(path)
    if name == shards.MANIFEST:
        return len(_manifest(num_images))
    if name == shards.INDEX:
        return len(_index_header(num_images)) + num_images * _ROW_BYTES
    return _images_in(int(name.split("-")[1]), num_images) * len(_record())


def _part(path: str, start: int, end: int) -> bytes:
    num_images, name = _parsed(path)
    if name == shards.MANIFEST:
        return _manifest(num_images)[start:end]
    if name == shards.INDEX:
        return _part_of_index(num_images, start, end)
    record = _record()
    first = start // len(record)
    return (record * (-(-end // len(record)) - first))[start - first * len(record) :][: end - start]


def _parsed(path: str) -> tuple[int, str]:
    """Returns the number of images and the name of a file.

    Raises:
        ValueError: The path is that of the directory.
    """
    _, num_images, name = FarAway._strip_protocol(path).split("/")
    return int(num_images), name


def _part_of_index(num_images: int, start: int, end: int) -> bytes:
    header = _index_header(num_images)
    first, stop = max(0, start - len(header)) // _ROW_BYTES, max(0, -(-(end - len(header)) // _ROW_BYTES))
    numbers = np.arange(first, stop) % IMAGES_PER_SHARD
    length = len(_record()) - tfrecord.framed_bytes(0)
    rows = np.stack([numbers * len(_record()), np.full(len(numbers), length), np.full(len(numbers), NO_LABEL)], axis=1)
    begin = len(header) + first * _ROW_BYTES if start >= len(header) else 0
    return ((header if start < len(header) else b"") + rows.astype(np.int64).tobytes())[start - begin :][: end - start]


def _images_in(shard: int, num_images: int) -> int:
    return min(IMAGES_PER_SHARD, num_images - shard * IMAGES_PER_SHARD)


@functools.cache
def _record() -> bytes:
    """Returns a record of an image without bytes, as it lies in a file."""
    data = example.serialize_features({"image/encoded": b"", "image/id": b""}, {})
    with tempfile.NamedTemporaryFile() as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            writer.write(data)
        return file.read()


@functools.cache
def _index_header(num_images: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (num_images, 3)})
    return header.getvalue()


@functools.cache
def _manifest(num_images: int) -> bytes:
    num_shards = -(-num_images // IMAGES_PER_SHARD)
    lines = [
        {
            "name": f"images-{number:05d}-of-{num_shards:05d}.tfrecord",
            "num_images": _images_in(number, num_images),
            "num_bytes": _images_in(number, num_images) * len(_record()),
            "sha256": "",
        }
        for number in range(num_shards)
    ]
    whole = len(_index_header(num_images)) + num_images * _ROW_BYTES
    crc32c = google_crc32c.value(_part_of_index(num_images, 0, whole)) if num_images <= _MOST_CHECKED else 0
    return json.dumps({"shards": lines, "classes": None, "index_crc32c": crc32c}).encode()
