"""The record of a shard: a `tf.train.Example`.

    image/encoded        bytes of the file, or of what was made of it (`converted.tsv`)
    image/id             name
    image/height, width  size in px, as stored
    image/orientation    EXIF orientation, 1 to 8, which the reader applies
    label                numbers of the classes; missing without classes
    label/absent         numbers of the classes that the image is known to lack; missing where the data does not say

Each feature except the last two has one value. The first two hold bytes, the others int64.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from seer_tf.data.images import decode
from seer_tf.data.images.formats import Header

ABSENT = "label/absent"


def serialize(
    encoded: bytes, header: Header, name: str, classes: Sequence[int], absent: Sequence[int] | None = None
) -> bytes:
    """Returns the record of a usable image with the numbers of its classes, and of those that it is known to lack."""
    numbers = {
        "image/height": [header.height_px],
        "image/width": [header.width_px],
        "image/orientation": [decode.exif_orientation(encoded)],
    }
    if classes:
        numbers["label"] = list(classes)
    if absent is not None:
        numbers[ABSENT] = list(absent)
    texts = {"image/encoded": encoded, "image/id": name.encode("utf-8", "surrogateescape")}
    return serialize_features(texts, numbers)


def serialize_features(texts: Mapping[str, bytes], numbers: Mapping[str, Sequence[int]]) -> bytes:
    """Returns a `tf.train.Example`; the same features give the same bytes.

    Args:
        texts: Features with one value each.
        numbers: Features with any number of int64 values each.
    """
    features = {key: tf.train.Feature(int64_list=tf.train.Int64List(value=values)) for key, values in numbers.items()}
    features |= {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in texts.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def features(record: bytes) -> Any:
    """Returns the features of a record by name, as `tf.train.Example` holds them."""
    return tf.train.Example.FromString(record).features.feature
