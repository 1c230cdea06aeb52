"""The record of a shard: a `tf.train.Example`.

    image/encoded        the bytes of the file, as they were
    image/id             its name
    image/height, width  in px, as stored
    image/orientation    EXIF orientation, 1 to 8, still to be applied
    label                numbers of the classes, where there are any

All but the label are of length one: the first two bytes, the others int64.
"""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from seer_tf.data.images import decode
from seer_tf.data.images.formats import Header


def serialized(encoded: bytes, header: Header, name: str, classes: Sequence[int]) -> bytes:
    """Returns the record of an image that has been found usable, with the numbers of its classes."""
    numbers = {
        "image/height": [header.height_px],
        "image/width": [header.width_px],
        "image/orientation": [decode.exif_orientation(encoded)],
    }
    if classes:
        numbers["label"] = list(classes)
    texts = {"image/encoded": encoded, "image/id": name.encode("utf-8", "surrogateescape")}
    return serialized_entries(texts, numbers)


def serialized_entries(texts: Mapping[str, bytes], numbers: Mapping[str, Sequence[int]]) -> bytes:
    """Returns a `tf.train.Example` of entries by name, the same bytes for the same entries.

    Args:
        texts: each an entry of one value.
        numbers: each an entry of int64 values, of any number.
    """
    features = {key: tf.train.Feature(int64_list=tf.train.Int64List(value=values)) for key, values in numbers.items()}
    features |= {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in texts.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
