"""Shards: written once, equal for any number of workers, continued after a stop, and checked when opened."""

import hashlib
import io
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.shards import prepare
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources import shards
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.parallel import LocalRunner
from tests import mutations

_NUM_IMAGES = 40


class _Source(Source):
    """Each image has one colour. Every tenth image is broken, one has a tab in its name, and one is rotated."""

    rejected = (("left.txt", "not an image"),)

    def __init__(self, labelled: bool = True) -> None:
        self.ids = [f"image\t{number}" if number == 7 else f"image {number}" for number in range(_NUM_IMAGES)]
        self.class_names = ("even", "odd") if labelled else None

    @property
    def labels(self):
        return None if self.class_names is None else np.arange(_NUM_IMAGES, dtype=np.int64) % 2

    def read(self, index: int) -> bytes:
        if index % 10 == 3:
            return b"hello" if index > 20 else b""
        exif = Image.Exif()
        exif[0x0112] = 6 if index == 5 else 1
        encoded = io.BytesIO()
        Image.new("RGB", (12, 9), (index, 0, 0)).save(encoded, "PNG", exif=exif)
        return encoded.getvalue()


_GOOD = [number for number in range(_NUM_IMAGES) if number % 10 != 3]


def _write(directory, source=None, *, num_workers=2, shard_bytes=1000, seed=0, drop_duplicates=False, **options):
    return prepare.write_shards(
        source or _Source(),
        str(directory),
        ShardOptions(**options),
        run=LocalRunner(num_workers),
        shard_bytes=shard_bytes,
        seed=seed,
        drop_duplicates=drop_duplicates,
    )


def _files(directory):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def _order(source):
    return [int(name.split()[1]) for name in source.ids]


def test_every_good_image_is_read_with_its_name_and_label(tmp_path):
    report = _write(tmp_path / "out")
    source = shards.open_shards(str(tmp_path / "out"))
    assert report.num_images == source.num_images == len(_GOOD)
    assert report.num_shards == len(list((tmp_path / "out").glob("*.tfrecord"))) >= 3
    assert sorted(_order(source)) == _GOOD
    assert source.class_names == ("even", "odd")
    assert source.labels is not None and source.labels.dtype == np.int64
    for index, number in enumerate(_order(source)):
        assert source.read(index) == _Source().read(number)
        assert source.ids[index] == _Source().ids[number]
        assert source.labels[index] == number % 2
    assert source.ids[-1] == source.ids[len(_GOOD) - 1]


def test_without_classes_there_are_no_labels(tmp_path):
    _write(tmp_path, _Source(labelled=False))
    source = shards.open_shards(str(tmp_path))
    assert source.class_names is None and source.labels is None
    assert "label" not in source.features(0)


def test_a_record_is_an_example_that_tensorflow_reads(tmp_path):
    _write(tmp_path)
    paths = sorted(map(str, tmp_path.glob("*.tfrecord")))
    assert paths[0].endswith(f"images-00000-of-{len(paths):05d}.tfrecord")
    found = {}
    for record in tf.data.TFRecordDataset(paths).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        numbers = [features[f"image/{key}"].int64_list.value[0] for key in ("height", "width", "orientation")]
        found[features["image/id"].bytes_list.value[0].decode()] = numbers
    assert found["image 5"] == [9, 12, 6]
    assert found["image 6"] == [9, 12, 1]
    assert len(found) == len(_GOOD)


def test_the_manifest_has_count_and_checksum_of_each_shard(tmp_path):
    _write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert sum(shard["num_images"] for shard in manifest["shards"]) == len(_GOOD)
    for shard in manifest["shards"]:
        encoded = (tmp_path / shard["name"]).read_bytes()
        assert shard["sha256"] == hashlib.sha256(encoded).hexdigest()
        assert shard["num_bytes"] == len(encoded)
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name or path.name == "plan.json"]


def test_rejected_files_are_named_with_the_reason(tmp_path):
    report = _write(tmp_path)
    lines = (tmp_path / "rejected.tsv").read_text().splitlines()
    assert lines[0] == "file\treason"
    assert lines[1:] == [
        "image 13\tempty file",
        "image 23\tnot an image",
        "image 3\tempty file",
        "image 33\tnot an image",
        "left.txt\tnot an image",
    ]
    assert report.rejected_by_reason == {"not an image": 3, "empty file": 2}


def test_a_tab_in_a_name_does_not_break_the_ledger(tmp_path):
    class Broken(_Source):
        def read(self, index: int) -> bytes:
            return b"" if index == 7 else super().read(index)

    _write(tmp_path, Broken())
    assert "image\\t7\tempty file" in (tmp_path / "rejected.tsv").read_text().splitlines()


def test_shards_depend_on_the_seed_and_not_on_the_number_of_workers(tmp_path):
    for name, seed, num_workers in [("a", 0, 1), ("b", 0, 4), ("c", 1, 4)]:
        _write(tmp_path / name, seed=seed, num_workers=num_workers)
    assert _files(tmp_path / "a") == _files(tmp_path / "b")
    orders = [_order(shards.open_shards(str(tmp_path / name))) for name in "ac"]
    assert orders[0] != orders[1] and orders[0] != _GOOD


def test_the_shuffle_is_global(tmp_path):
    """Each shard holds images from both halves of the source. By chance, a shard has one half only once in 10,000."""
    _write(tmp_path, shard_bytes=2000)
    order, start = _order(shards.open_shards(str(tmp_path))), 0
    for shard in json.loads((tmp_path / "manifest.json").read_text())["shards"]:
        numbers = np.array(order[start : start + shard["num_images"]])
        assert (numbers < 20).any() and (numbers >= 20).any()
        start += shard["num_images"]


def test_a_stopped_run_continues_and_keeps_finished_shards(tmp_path):
    class Stopping(_Source):
        num_reads = 0

        def read(self, index: int) -> bytes:
            Stopping.num_reads += 1
            if Stopping.num_reads > 2 * _NUM_IMAGES + 25:
                raise KeyboardInterrupt
            return super().read(index)

    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path / "out", Stopping(), num_workers=1)
    assert not (tmp_path / "out" / "manifest.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")}
    assert kept
    with pytest.raises(InputError, match="no manifest.json"):
        shards.open_shards(str(tmp_path / "out"))
    _write(tmp_path / "out")
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    _write(tmp_path / "whole")
    assert _files(tmp_path / "out") == _files(tmp_path / "whole")


@pytest.mark.parametrize("ending", ["entries", "found.json"])
def test_damaged_notes_on_a_finished_shard_cost_that_shard(ending, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "_finish", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            _write(tmp_path / "out", num_workers=1)
    damaged = sorted((tmp_path / "out").glob(f"*.{ending}"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(InputError, match="notes on this shard are damaged"):
        _write(tmp_path / "out", num_workers=1)
    _write(tmp_path / "out", num_workers=1)
    _write(tmp_path / "whole", num_workers=1)
    assert _files(tmp_path / "out") == _files(tmp_path / "whole")


def _interrupt(*arguments):
    raise KeyboardInterrupt


def test_finished_shards_are_not_written_again(tmp_path):
    first = _write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert _write(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_directory_with_something_else_is_refused(tmp_path):
    _write(tmp_path / "shards")
    with pytest.raises(InputError, match=r"differ in seed \(0, now 1\); give"):
        _write(tmp_path / "shards", seed=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("hello")
    with pytest.raises(InputError, match="holds something else"):
        _write(tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_a_broken_manifest_in_the_output_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest.json: the file is broken"):
        _write(tmp_path)


def test_a_file_that_cannot_be_read_is_rejected(tmp_path):
    class Forbidden(_Source):
        def read(self, index: int) -> bytes:
            if index == 1:
                raise UnusableImageError("cannot be read: Permission denied")
            return super().read(index)

    assert _write(tmp_path, Forbidden()).num_images == len(_GOOD) - 1
    assert "image 1\tcannot be read: Permission denied" in (tmp_path / "rejected.tsv").read_text()


def test_an_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("hello")
    with pytest.raises(InputError, match="cannot be written"):
        _write(tmp_path / "file" / "out")


def test_a_source_without_a_usable_image(tmp_path):
    class Hopeless(_Source):
        def read(self, index: int) -> bytes:
            return b"hello"

    with pytest.raises(InputError, match="not one usable image among 41 files"):
        _write(tmp_path, Hopeless())
    assert not (tmp_path / "manifest.json").exists()


def test_missing_shards(tmp_path):
    with pytest.raises(InputError, match=r"there is no manifest.json"):
        shards.open_shards(str(tmp_path / "missing"))


def test_a_broken_manifest(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest.json cannot be read"):
        shards.open_shards(str(tmp_path))


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        ("grow", "{shard}: the shard has .* bytes where manifest.json says"),
        ("remove", "{shard}: the shard cannot be read"),
        ("remove the index", "index.npy: the index is missing or broken"),
        ("break the index", "index.npy: the index is missing or broken"),
        ("count wrongly", "manifest.json lists 37 images and index.npy 36"),
    ],
)
def test_shards_that_do_not_match_the_manifest_are_refused_when_opened(tmp_path, harm, sentence):
    _write(tmp_path)
    path = sorted(tmp_path.glob("*.tfrecord"))[1]
    if harm == "grow":
        path.write_bytes(path.read_bytes() + b"x")
    elif harm == "remove":
        path.unlink()
    elif harm == "remove the index":
        (tmp_path / "index.npy").unlink()
    elif harm == "break the index":
        (tmp_path / "index.npy").write_bytes(b"hello")
    else:
        manifest = json.loads((tmp_path / "manifest.json").read_text())
        del manifest["checksum"]  # an earlier version wrote no checksum
        manifest["shards"][0]["num_images"] += 1
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=sentence.format(shard=path.name)):
        shards.open_shards(str(tmp_path))


def test_a_record_with_a_flipped_byte_is_named_and_no_other_image_is_lost(tmp_path):
    _write(tmp_path)
    source = shards.open_shards(str(tmp_path))
    path = sorted(tmp_path.glob("*.tfrecord"))[0]
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnusableImageError, match=f"{path.name} is broken at byte 0"):
        source.read(0)
    assert source.read(1)
    batches = images_dataset(source, Transform(8), batch_size=4)
    with (
        pytest.raises(InputError, match=f"record 0: .*{path.name} is broken at byte 0; make shards"),
        unreadable_images_named(),
    ):
        list(batches)


def test_a_truncated_shard_loses_only_its_missing_records(tmp_path, caplog):
    shards_dir = tmp_path / "shards"
    _write(shards_dir)
    path = sorted(shards_dir.glob("*.tfrecord"))[0]
    path.write_bytes(path.read_bytes()[:-150])
    source = shards.open_shards(str(shards_dir))
    assert f"{path.name}: the last 150 of" in caplog.text
    lost = []
    for index in range(source.num_images):
        try:
            source.read(index)
        except UnusableImageError:
            lost.append(index)
    last = json.loads((shards_dir / "manifest.json").read_text())["shards"][0]["num_images"] - 1
    assert lost == [last] and source.ids[last] == f"record {last}"
    assert _write(tmp_path / "again", source).num_images == source.num_images - 1
    assert f"record {last}\t{path} is broken at byte" in (tmp_path / "again" / "rejected.tsv").read_text()


def test_a_shard_that_vanishes_is_named(tmp_path):
    _write(tmp_path)
    source = shards.open_shards(str(tmp_path))
    path = sorted(tmp_path.glob("*.tfrecord"))[0]
    path.unlink()
    with pytest.raises(InputError, match=f"{path.name}: the shard cannot be read"):
        source.read(0)


def test_many_shards_need_few_open_files(tmp_path):
    """A process may open only some hundreds of files, but ImageNet has a thousand shards."""
    _write(tmp_path, shard_bytes=50, num_workers=1)
    before = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    source = shards.open_shards(str(tmp_path))
    assert source.num_images == len(_GOOD) and len(list(tmp_path.glob("*.tfrecord"))) > 30
    for index in range(source.num_images):
        source.read(index)
    assert len(list(pathlib.Path("/proc/self/fd").iterdir())) <= before + 1


def _content(source):
    images = range(source.num_images)
    return source.class_names, list(source.ids), [source.classes_of(number) for number in images]


def _changes(path, contents, read, whole):
    """Reads a file with each of the contents. The result must be `whole` or an error of one line."""
    num_refused = 0
    for content in contents:
        path.write_bytes(content)
        try:
            assert read() == whole
        except InputError as error:
            assert len(str(error).splitlines()) == 1
            num_refused += 1
    return num_refused


def test_damage_to_manifest_or_index_changes_no_id_and_no_class(tmp_path):
    _write(tmp_path)
    whole = _content(shards.open_shards(str(tmp_path)))
    for name in ("manifest.json", "index.npy"):
        path, good = tmp_path / name, (tmp_path / name).read_bytes()
        refused = _changes(
            path, mutations.flipped(good, 200), lambda: _content(shards.open_shards(str(tmp_path))), whole
        )
        assert refused > 150
        path.write_bytes(good)


def test_a_manifest_of_other_types_is_refused_when_opened_and_when_prepared(tmp_path):
    """The manifest has no checksums, as in an earlier version."""
    _write(tmp_path)
    path = tmp_path / "manifest.json"
    good = path.read_bytes()
    for content in mutations.retyped(good, 200, without=("checksum", "index_crc32c")):
        path.write_bytes(content)
        for use in (lambda: shards.open_shards(str(tmp_path)).labels, lambda: _write(tmp_path)):
            try:
                use()
            except InputError as error:
                assert len(str(error).splitlines()) == 1


def test_an_index_without_a_checksum_must_fit_its_shards(tmp_path):
    _write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(
        json.dumps({name: value for name, value in manifest.items() if name not in ("checksum", "index_crc32c")})
    )
    path = tmp_path / "index.npy"
    good = path.read_bytes()
    whole = np.load(path)
    for content in mutations.flipped(good, 200):
        path.write_bytes(content)
        try:
            found = shards.open_shards(str(tmp_path))._index
        except InputError:
            continue
        np.testing.assert_array_equal(found[:, :2], whole[:, :2])
        assert (found[:, 2] < 2).all() and (found[:, 2] >= -2).all()
