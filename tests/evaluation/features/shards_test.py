"""Features in files: equal to features in memory, continued after a stop, and never mixed with other features."""

import dataclasses
import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import Extractor, FeatureSet
from seer_tf.evaluation.features.fingerprints import fingerprint
from seer_tf.evaluation.features.parquet import read_parquet, write_parquet
from seer_tf.evaluation.features.shards import write_features
from seer_tf.evaluation.features.stages import Pooling
from seer_tf.evaluation.features.store import open_features
from seer_tf.files.atomic import UNFINISHED
from tests import mutations

_NUM_IMAGES, _SIDE_PX = 23, 4
_SHARD_BYTES = 5 * 2 * (3 + 6)  # five images with nine float16 values


class _Images(Source):
    """Noise, of which some images have several classes. The source counts its reads, and can fail at an image."""

    def __init__(self, breaks_at: int | None = None) -> None:
        self.ids = [f"größe/{number}.png" for number in range(_NUM_IMAGES)]
        self.class_names = ("a", "b", "c")
        self.read_numbers: list[int] = []
        self._breaks_at = breaks_at
        pixels = np.random.default_rng(0).integers(0, 256, [_NUM_IMAGES, _SIDE_PX, _SIDE_PX, 3], np.uint8)
        self._encoded = [tf.io.encode_png(image).numpy() for image in pixels]

    def classes_of(self, index: int) -> tuple[int, ...]:
        return tuple(range(index % 3))

    def absent_of(self, index: int) -> tuple[int, ...]:
        return (2,)

    def read(self, index: int) -> bytes:
        if index == self._breaks_at:
            raise InputError("the disk is gone")
        self.read_numbers.append(index)
        return self._encoded[index]


def _features(images: tf.Tensor) -> dict[str, tf.Tensor]:
    pixels = tf.cast(images, tf.float32)
    return {"avgpool": tf.reduce_mean(pixels, [1, 2]), "res4": tf.reshape(pixels[:, :2, 0], [-1, 6])}


@pytest.fixture
def extractor() -> Extractor:
    """An extractor with stages of three and six numbers. Its batches do not fit shards of five images."""
    poolings = {"avgpool": Pooling(1, 1, 3), "res4": Pooling(2, 1, 3)}
    return Extractor(_features, poolings, "RUN", "digest", Transform(_SIDE_PX), batch_size=4)


@pytest.fixture
def write(extractor: Extractor, tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes into one directory, with some arguments replaced."""

    def function(source: Source, *, by: Extractor = extractor, **arguments: Any) -> Path:
        write_features(by, source, tmp_path / "out", data="folder:X", **{"shard_bytes": _SHARD_BYTES, **arguments})
        return tmp_path / "out"

    return function


@pytest.mark.parametrize("file_format", ["npy", "tfrecord", "parquet"])
def test_features_in_files_equal_features_in_memory(extractor, write, file_format):
    """The numbers are rounded to float16, and all facts about the images are kept.

    Rows can be read in any order and across shards.
    """
    expected = extractor.extract(_Images(), "folder:X")
    directory = write(_Images(), file_format=file_format)
    found = open_features(directory)
    assert len(list(directory.glob("images-*-of-00005.json"))) == 5
    assert (found.origin, found.ids, found.class_names) == (expected.origin, expected.ids, expected.class_names)
    assert found.classes == expected.classes
    assert found.absent == expected.absent == [(2,)] * _NUM_IMAGES
    assert found.fingerprints.tolist() == expected.fingerprints.tolist()
    assert found.fingerprints[3] == fingerprint(_Images().read(3))
    for stage, rows in expected.rows.items():
        stored = found.rows[stage]
        assert stored.shape == rows.shape
        for chosen in (slice(None), slice(3, 17), np.array([22, 0, 7, 7, 13])):
            assert stored[chosen].dtype == np.float16
            np.testing.assert_array_equal(stored[chosen], rows[chosen].astype(np.float16))


def test_records_can_be_read_without_this_package(write):
    """The test uses only the documented record features."""
    directory = write(_Images(), file_format="tfrecord", dtype="float32")
    (shard, *_) = sorted(directory.glob("*.tfrecord"))
    record = tf.train.Example.FromString(next(iter(tf.data.TFRecordDataset(str(shard)))).numpy()).features.feature
    assert record["image/id"].bytes_list.value == ["größe/0.png".encode()]
    values = np.frombuffer(record["features/res4"].bytes_list.value[0], "<f4")
    np.testing.assert_array_equal(values, open_features(directory).rows["res4"][:1][0])


def test_tables_can_be_read_without_this_package(extractor, write):
    """All shards form one data set with the names, labels and numbers of every image."""
    expected = extractor.extract(_Images(), "folder:X")
    directory = write(_Images(), file_format="parquet", dtype="float32")
    table = pyarrow.parquet.read_table(sorted(directory.glob("features-*.parquet")))
    assert table.column_names == ["image", "label", "avgpool", "res4"]
    assert table["image"].to_pylist() == expected.ids
    assert [tuple(label) for label in table["label"].to_pylist()] == expected.classes
    for stage, rows in expected.rows.items():
        np.testing.assert_array_equal(np.array(table[stage].to_pylist(), np.float32), rows)


def test_rows_of_a_table_are_read_from_their_row_groups(tmp_path):
    """Rows may be read in any order and more than once. A damaged file gets one sentence."""
    values = np.random.default_rng(0).normal(size=[1000, 3]).astype(np.float16)
    file = tmp_path / "features.parquet"
    write_parquet(file, [str(number) for number in range(1000)], [()] * 1000, {"res5": values})
    for rows in (np.array([999, 0, 500, 500, 63, 64]), np.arange(1000)):
        np.testing.assert_array_equal(read_parquet(file, "res5", rows), values[rows])
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be read .*extract the features again"):
        read_parquet(file, "res5", np.array([0]))


def test_the_extraction_continues_where_it_stopped(extractor, write):
    """Finished shards are kept, and their images are not read again."""
    with pytest.raises(InputError, match="the disk is gone"):
        write(_Images(breaks_at=20))
    with pytest.raises(InputError, match="unfinished, 2 of 5 shards missing"):
        open_features(write(_Images(), worker=5, num_workers=6))
    again = _Images()
    directory = write(again)
    assert sorted(again.read_numbers) == list(range(15, _NUM_IMAGES))
    expected = extractor.extract(_Images(), "folder:X").rows["res4"].astype(np.float16)
    np.testing.assert_array_equal(open_features(directory).rows["res4"][:], expected)
    once_more = _Images()
    write(once_more)
    assert not once_more.read_numbers


@pytest.mark.slow
def test_workers_share_the_work(write):
    """Each worker writes its own shards, and together they write all."""
    workers = [_Images() for _ in range(2)]
    for number, source in enumerate(workers):
        directory = write(source, worker=number, num_workers=2)
    assert sorted(workers[0].read_numbers + workers[1].read_numbers) == list(range(_NUM_IMAGES))
    assert open_features(directory).num_images == _NUM_IMAGES


@pytest.mark.parametrize("another_wrote_it", [False, True])
def test_the_manifest_that_a_killed_process_left_unfinished_is_removed(extractor, tmp_path, another_wrote_it):
    """Another worker may have written the manifest meanwhile. What that worker is writing stays."""
    left = [tmp_path / f".features-{worker}{UNFINISHED}.json" for worker in range(2)]
    write = functools.partial(write_features, extractor, _Images(), tmp_path, data="x", num_workers=2)
    if another_wrote_it:
        write(worker=1)
    for file in left:
        file.write_text("{")
    write(worker=0)
    assert [file.exists() for file in left] == [False, True]


def test_hidden_files_do_not_make_a_directory_foreign(write):
    """Workers that start together see what the others are writing."""
    directory = write(_Images())
    for file in directory.iterdir():
        file.unlink()
    (directory / ".features.json.abcdef").write_text("{")
    assert open_features(write(_Images())).num_images == _NUM_IMAGES


def test_features_of_another_model_or_other_images_are_refused(extractor, write):
    """The other features come from another model or from other images."""
    directory = write(_Images())
    with pytest.raises(InputError, match=r"another digest\)"):
        write(_Images(), by=dataclasses.replace(extractor, digest="other"))
    renamed = _Images()
    renamed.ids = renamed.ids[::-1]
    with pytest.raises(InputError, match="another digest_of_ids"):
        write(renamed)
    (directory / "features.json").unlink()
    with pytest.raises(InputError, match="files that are not features"):
        write(_Images())


@pytest.mark.parametrize(
    ("value", "text"),
    [(np.nan, "avgpool features of größe/0.png are not finite"), (1e5, "larger than float16 can hold")],
)
def test_numbers_that_are_not_usable_are_refused(extractor, write, value, text):
    """No shard is written with such numbers."""
    broken = dataclasses.replace(extractor, features=lambda x: _features(x) | {"avgpool": tf.fill([len(x), 3], value)})
    with pytest.raises(InputError, match=text):
        write(_Images(), by=broken)
    with pytest.raises(InputError, match="5 of 5 shards missing"):
        open_features(write(_Images(), by=broken, worker=5, num_workers=6))


def test_a_directory_without_features_is_refused(tmp_path):
    """The directory is empty, or its file is damaged."""
    with pytest.raises(InputError, match="there is no features.json"):
        open_features(tmp_path)
    (tmp_path / "features.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        open_features(tmp_path)


def _content(features: FeatureSet) -> Any:
    values = {stage: np.asarray(rows[4:6]).tobytes() for stage, rows in features.rows.items()}
    return features.ids, features.classes, features.absent, features.fingerprints.tolist(), values


@pytest.mark.parametrize("name", ["features.json", "images-00001-of-00005.json"])
def test_damage_is_named_and_changes_no_id_or_class(write, name):
    """The damage is in bytes, or in types in a file without a checksum, as in an earlier version."""
    directory = write(_Images())
    whole, path = _content(open_features(directory)), directory / name
    good = path.read_bytes()
    for content in mutations.flipped(good, 200):
        path.write_bytes(content)
        try:
            assert _content(open_features(directory)) == whole
        except InputError as error:
            assert len(str(error).splitlines()) == 1
    for content in mutations.retyped(good, 200, without=("checksum",)):
        path.write_bytes(content)
        try:
            found = _content(open_features(directory))
        except InputError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert found[0] == whole[0]


@pytest.mark.parametrize(
    ("file_format", "name"),
    [
        ("npy", "res4-00001-of-00005.npy"),
        ("tfrecord", "features-00001-of-00005.tfrecord"),
        ("parquet", "features-00001-of-00005.parquet"),
    ],
)
def test_damage_to_the_numbers_gets_one_sentence(write, file_format, name):
    directory = write(_Images(), file_format=file_format)
    whole = open_features(directory).rows["res4"][:].tobytes()
    path = directory / name
    for content in mutations.flipped(path.read_bytes(), 200):
        path.write_bytes(content)
        try:
            assert open_features(directory).rows["res4"][:].tobytes() == whole
        except InputError as error:
            assert len(str(error).splitlines()) == 1


_MEASURE = """
import resource, sys
import numpy as np, tensorflow as tf
from seer_tf.data.sources.base import Source
from seer_tf.data.images.transform import Transform
from seer_tf.evaluation.features.feature_set import Extractor, FeatureSet
from seer_tf.evaluation.features.shards import write_features
from seer_tf.evaluation.features.stages import Pooling

class Images(Source):
    ids = [str(number) for number in range(int(sys.argv[1]))]
    encoded = tf.io.encode_png(np.zeros([8, 8, 3], np.uint8)).numpy()
    def read(self, index):
        return self.encoded

features = lambda images: {"avgpool": tf.zeros([tf.shape(images)[0], 4096])}
extractor = Extractor(features, {"avgpool": Pooling(1, 1, 4096)}, "", "", Transform(8))
write_features(extractor, Images(), sys.argv[2], data="", shard_bytes=2 ** 23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_ten_times_more_images_take_no_more_memory(tmp_path):
    """40,000 images of 8 KiB each would need 312 MiB."""
    peaks_mib = []
    for num_images in (4_000, 40_000):
        arguments = [sys.executable, "-c", _MEASURE, str(num_images), str(tmp_path / str(num_images))]
        ran = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr
        peaks_mib.append(float(ran.stdout.split()[-1]))
    assert peaks_mib[1] - peaks_mib[0] < 60
