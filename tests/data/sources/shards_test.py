"""Shards: written once, equal for any number of workers, continued after a stop, and checked when opened."""

import hashlib
import json
import os
import pathlib
import pickle
import resource

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.shards import prepare
from seer_tf.data.sources import registry, shards
from seer_tf.errors import InputError
from tests.data.sources.numbered_images import NUM_IMAGES, NumberedImages, write_shards

_GOOD = [number for number in range(NUM_IMAGES) if number % 10 != 3]


def _files(directory):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def _order(source):
    return [int(name.split()[1]) for name in source.ids]


def test_every_good_image_is_read_with_its_name_and_label(tmp_path):
    report = write_shards(tmp_path / "out")
    source = shards.open_shards(str(tmp_path / "out"))
    assert report.num_images == source.num_images == len(_GOOD)
    assert report.num_shards == len(list((tmp_path / "out").glob("*.tfrecord"))) >= 3
    assert sorted(_order(source)) == _GOOD
    assert source.class_names == ("even", "odd")
    assert source.labels is not None and source.labels.dtype == np.int64
    for index, number in enumerate(_order(source)):
        assert source.read(index) == NumberedImages().read(number)
        assert source.ids[index] == NumberedImages().ids[number]
        assert source.labels[index] == number % 2
    assert source.ids[-1] == source.ids[len(_GOOD) - 1]


def test_without_classes_there_are_no_labels(tmp_path):
    write_shards(tmp_path, NumberedImages(labelled=False))
    source = shards.open_shards(str(tmp_path))
    assert source.class_names is None and source.labels is None
    assert "label" not in source.features(0)


def test_a_record_is_an_example_that_tensorflow_reads(tmp_path):
    write_shards(tmp_path)
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
    write_shards(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert sum(shard["num_images"] for shard in manifest["shards"]) == len(_GOOD)
    for shard in manifest["shards"]:
        encoded = (tmp_path / shard["name"]).read_bytes()
        assert shard["sha256"] == hashlib.sha256(encoded).hexdigest()
        assert shard["num_bytes"] == len(encoded)
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name or path.name == "plan.json"]


def test_rejected_files_are_named_with_the_reason(tmp_path):
    report = write_shards(tmp_path)
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
    class Broken(NumberedImages):
        def read(self, index: int) -> bytes:
            return b"" if index == 7 else super().read(index)

    write_shards(tmp_path, Broken())
    assert "image\\t7\tempty file" in (tmp_path / "rejected.tsv").read_text().splitlines()


def test_shards_depend_on_the_seed_and_not_on_the_number_of_workers(tmp_path):
    for name, seed, num_workers in [("a", 0, 1), ("b", 0, 4), ("c", 1, 4)]:
        write_shards(tmp_path / name, seed=seed, num_workers=num_workers)
    assert _files(tmp_path / "a") == _files(tmp_path / "b")
    orders = [_order(shards.open_shards(str(tmp_path / name))) for name in "ac"]
    assert orders[0] != orders[1] and orders[0] != _GOOD


def test_the_shuffle_is_global(tmp_path):
    """Each shard holds images from both halves of the source. By chance, a shard has one half only once in 10,000."""
    write_shards(tmp_path, shard_bytes=2000)
    order, start = _order(shards.open_shards(str(tmp_path))), 0
    for shard in json.loads((tmp_path / "manifest.json").read_text())["shards"]:
        numbers = np.array(order[start : start + shard["num_images"]])
        assert (numbers < 20).any() and (numbers >= 20).any()
        start += shard["num_images"]


def test_a_stopped_run_continues_and_keeps_finished_shards(tmp_path):
    class Stopping(NumberedImages):
        num_reads = 0

        def read(self, index: int) -> bytes:
            Stopping.num_reads += 1
            if Stopping.num_reads > 2 * NUM_IMAGES + 25:
                raise KeyboardInterrupt
            return super().read(index)

    with pytest.raises(KeyboardInterrupt):
        write_shards(tmp_path / "out", Stopping(), num_workers=1)
    assert not (tmp_path / "out" / "manifest.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")}
    assert kept
    with pytest.raises(InputError, match="no manifest.json"):
        shards.open_shards(str(tmp_path / "out"))
    write_shards(tmp_path / "out")
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    write_shards(tmp_path / "whole")
    assert _files(tmp_path / "out") == _files(tmp_path / "whole")


@pytest.mark.parametrize("ending", ["entries", "notes.json"])
def test_damaged_notes_on_a_finished_shard_cost_that_shard(ending, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "_finish", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_shards(tmp_path / "out", num_workers=1)
    damaged = sorted((tmp_path / "out").glob(f"*.{ending}"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(InputError, match="notes on this shard are damaged"):
        write_shards(tmp_path / "out", num_workers=1)
    write_shards(tmp_path / "out", num_workers=1)
    write_shards(tmp_path / "whole", num_workers=1)
    assert _files(tmp_path / "out") == _files(tmp_path / "whole")


def _interrupt(*arguments):
    raise KeyboardInterrupt


def test_finished_shards_are_not_written_again(tmp_path):
    first = write_shards(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write_shards(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_directory_with_something_else_is_refused(tmp_path):
    write_shards(tmp_path / "shards")
    with pytest.raises(InputError, match=r"differ in seed \(0, now 1\); give"):
        write_shards(tmp_path / "shards", seed=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("hello")
    with pytest.raises(InputError, match="holds something else"):
        write_shards(tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_a_broken_manifest_in_the_output_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest.json: the file is broken"):
        write_shards(tmp_path)


def test_a_file_that_cannot_be_read_is_rejected(tmp_path):
    class Forbidden(NumberedImages):
        def read(self, index: int) -> bytes:
            if index == 1:
                raise UnusableImageError("cannot be read: Permission denied")
            return super().read(index)

    assert write_shards(tmp_path, Forbidden()).num_images == len(_GOOD) - 1
    assert "image 1\tcannot be read: Permission denied" in (tmp_path / "rejected.tsv").read_text()


def test_an_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("hello")
    with pytest.raises(InputError, match="cannot be written"):
        write_shards(tmp_path / "file" / "out")


def test_a_source_without_a_usable_image(tmp_path):
    class Hopeless(NumberedImages):
        def read(self, index: int) -> bytes:
            return b"hello"

    with pytest.raises(InputError, match="not one usable image among 41 files"):
        write_shards(tmp_path, Hopeless())
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
    write_shards(tmp_path)
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
    write_shards(tmp_path)
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
    write_shards(shards_dir)
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
    assert write_shards(tmp_path / "again", source).num_images == source.num_images - 1
    assert f"record {last}\t{path} is broken at byte" in (tmp_path / "again" / "rejected.tsv").read_text()


def test_a_shard_that_vanishes_is_named(tmp_path):
    write_shards(tmp_path)
    source = shards.open_shards(str(tmp_path))
    path = sorted(tmp_path.glob("*.tfrecord"))[0]
    path.unlink()
    with pytest.raises(InputError, match=f"{path.name}: the shard cannot be read"):
        source.read(0)


def test_shards_stay_open_up_to_a_quarter_of_what_the_process_may_open(tmp_path, monkeypatch):
    """A process may open only some hundreds of files, but ImageNet has a thousand shards."""
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (40, 40))
    write_shards(tmp_path, shard_bytes=50, num_workers=1)
    source = shards.open_shards(str(tmp_path))
    assert source.num_images == len(_GOOD) and len(list(tmp_path.glob("*.tfrecord"))) > 30
    for index in range(source.num_images):
        source.read(index)
    links = [os.readlink(link) for link in pathlib.Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert sum(link.endswith(".tfrecord") and str(tmp_path) in link for link in links) == 10


def test_an_image_of_an_open_shard_takes_one_read(tmp_path):
    write_shards(tmp_path, num_workers=1)
    source = shards.open_shards(str(tmp_path))
    expected = [source.read(index) for index in range(source.num_images)]
    for path in tmp_path.glob("*.tfrecord"):
        path.unlink()
    assert [source.read(index) for index in range(source.num_images)] == expected


def test_a_pattern_joins_the_shards_of_several_directories(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        write_shards(tmp_path / name, seed=seed, num_workers=1)
    first, second = (shards.open_shards(str(tmp_path / name)) for name in "ab")
    for pattern in ("*", "{a,b}"):
        joined = registry.open_source(f"shards:{tmp_path}/{pattern}")
        assert list(joined.ids) == [*first.ids, *second.ids]
        assert [joined.read(n) for n in (0, 35, 36, 71)] == [
            first.read(0),
            first.read(35),
            second.read(0),
            second.read(35),
        ]
        np.testing.assert_array_equal(joined.labels, np.concatenate([first.labels, second.labels]))
        assert [joined.classes_of(n) for n in (35, 36)] == [first.classes_of(35), second.classes_of(0)]
    assert len({one.fingerprint() for one in (first, second, joined)}) == 3
    blocks = pickle.loads(pickle.dumps(joined)).in_blocks(3)
    assert [blocks.read(n) for n in range(72)] == [joined.read(n) for n in range(72)]


def test_directories_with_different_classes_are_not_joined(tmp_path):
    write_shards(tmp_path / "a", num_workers=1)
    write_shards(tmp_path / "b", NumberedImages(labelled=False), num_workers=1)
    with pytest.raises(InputError, match=r"/a and .*/b have different classes"):
        shards.open_shards(f"{tmp_path}/*")
    (tmp_path / "b" / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"/b: there is no manifest.json"):
        registry.check_source(f"shards:{tmp_path}/*")
    with pytest.raises(InputError, match=r"no directory matches this pattern"):
        shards.open_shards(f"{tmp_path}/c*")


def test_more_images_than_fit_into_memory_are_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "host_gib", lambda: 800 * 39 / 2**30)
    with pytest.raises(
        InputError, match=r"40 images are more than this machine can prepare at once, 39 for its memory"
    ):
        write_shards(tmp_path / "out")
    assert not (tmp_path / "out").exists()
