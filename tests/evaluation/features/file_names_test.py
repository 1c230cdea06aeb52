"""File names are bytes: features are extracted and stored from files whose names are not Unicode."""

import os
import pathlib

import pytest
import tensorflow as tf

from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import Extractor
from seer_tf.evaluation.features.shards import write_features
from seer_tf.evaluation.features.stages import Pooling
from seer_tf.evaluation.features.store import open_features

_NAMES = (b"caf\xe9.png", b"a\nb.png", b"\x1b[2J.png", b"plain.png")


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Four images. Their names are in Latin-1, on two lines, with a terminal command, and plain."""
    for number, name in enumerate(_NAMES):
        encoded = tf.io.encode_png(tf.fill([4, 4, 3], tf.cast(60 * number, tf.uint8))).numpy()
        pathlib.Path(tmp_path, os.fsdecode(name)).write_bytes(encoded)
    return tmp_path


@pytest.mark.parametrize("file_format", ["npy", "tfrecord", "parquet"])
def test_features_of_any_file_are_written_and_read(folder: pathlib.Path, file_format: str) -> None:
    poolings = {"avgpool": Pooling(1, 1, 3)}
    means = {"avgpool": lambda images: tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])}
    extractor = Extractor(
        lambda images: {stage: mean(images) for stage, mean in means.items()}, poolings, "RUN", "digest", Transform(4)
    )
    source = open_source(f"folder:{folder}")
    output = folder.parent / f"features {file_format}"
    write_features(extractor, source, output, data=f"folder:{folder}", file_format=file_format)
    found = open_features(output)
    assert [os.fsencode(name) for name in found.ids] == [os.fsencode(name) for name in source.ids]
    assert sorted(os.fsencode(name) for name in found.ids) == sorted(_NAMES)
    by_name = {os.fsencode(name): row[0] for name, row in zip(found.ids, found.rows["avgpool"][:], strict=True)}
    assert [by_name[name] for name in _NAMES] == [0, 60, 120, 180]


def test_control_characters_in_errors_are_escaped() -> None:
    assert str(InputError("\x1b[2J and caf\udce9\nand größe")) == "\\x1b[2J and caf\\udce9\\nand größe"
