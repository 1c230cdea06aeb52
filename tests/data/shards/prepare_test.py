"""Preparation of shards: conversion of images, the audit, parallel work, and checks of the output."""

import fcntl
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import resource
import shutil
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.shards import prepare, writer
from seer_tf.data.shards.audit import Audit
from seer_tf.data.shards.beam import BeamRunner
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources import registry, shards
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.parallel import LocalRunner
from seer_tf.reports.audit import write_audit
from tests.data.shards.photos import photo


def _jpeg(image: Image.Image, **options: Any) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", **options)
    return encoded.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nineteen images in two classes, and a text file.

    Three images are copies of 00, one is truncated, and one is rotated.
    """
    root = tmp_path_factory.mktemp("images")
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = {f"{number:02d}.jpg": _jpeg(photo(number)) for number in range(14)}
    contents["14 smaller.jpg"] = _jpeg(photo(0, (48, 32)))
    contents["15 worse.jpg"] = _jpeg(photo(0), quality=30)
    contents["16 brighter.jpg"] = _jpeg(photo(0).point(lambda level: level * 0.9 + 20))
    contents["17 short.jpg"] = _jpeg(photo(17), quality=95)[:-200]
    contents["18 turned.jpg"] = _jpeg(photo(18, (200, 100)), exif=exif)
    contents["19.jpg"] = b"hello"
    for number, (name, content) in enumerate(contents.items()):
        path = root / ("even" if number % 2 == 0 else "odd") / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return root


def _write(
    folder: pathlib.Path,
    output: pathlib.Path | str,
    *,
    run: Any = None,
    shard_bytes: int = 10_000_000,
    drop_duplicates: Any = False,
    **options: Any,
) -> Audit:
    return prepare.write_shards(
        registry.open_source(f"folder:{folder}"),
        str(output),
        ShardOptions(**options),
        run=run or LocalRunner(2),
        shard_bytes=shard_bytes,
        drop_duplicates=drop_duplicates,
    )


def _files(directory):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def _names(directory):
    return sorted(name.partition("/")[2] for name in shards.open_shards(str(directory)).ids)


def _lines(path):
    return [line.split("\t") for line in path.read_text().splitlines()[1:]]


@pytest.mark.slow
def test_one_process_several_processes_and_beam_write_the_same_files(folder, tmp_path):
    for name, run in [("here", LocalRunner(1)), ("processes", LocalRunner(2)), ("beam", BeamRunner())]:
        _write(folder, tmp_path / name, run=run, shard_bytes=3000, drop_duplicates=name != "here")
    assert len(list((tmp_path / "processes").glob("*.tfrecord"))) >= 8  # enough shards for two processes
    assert _files(tmp_path / "processes") == _files(tmp_path / "beam")
    _write(folder, tmp_path / "kept", run=BeamRunner(), shard_bytes=3000)
    assert _files(tmp_path / "here") == _files(tmp_path / "kept")


def test_near_duplicates_are_reported_and_dropped_only_if_asked_for(folder, tmp_path):
    audit = _write(folder, tmp_path / "kept")
    copies = ["00.jpg", "14 smaller.jpg", "15 worse.jpg", "16 brighter.jpg"]
    found = _lines(tmp_path / "kept" / "duplicates.tsv")
    assert sorted(name.partition("/")[2] for _, name in found) == copies and {group for group, _ in found} == {"1"}
    assert (audit.num_images, audit.num_duplicate_groups, audit.num_duplicates) == (18, 1, 3)
    dropped = _write(folder, tmp_path / "dropped", drop_duplicates=True)
    assert (dropped.num_images, dropped.num_duplicates) == (15, 0)
    assert _names(tmp_path / "dropped") == sorted(set(_names(tmp_path / "kept")) - set(copies[1:]))
    reasons = {name.partition("/")[2]: reason for name, reason in _lines(tmp_path / "dropped" / "rejected.tsv")}
    assert [reasons[name] for name in copies[1:]] == ["near-duplicate of even/00.jpg"] * 3
    assert dropped.rejected_by_reason == {"near-duplicate": 3, "does not decode": 1, "not an image": 1}


def test_a_truncated_jpeg_is_kept_if_asked_for(folder, tmp_path):
    assert _write(folder, tmp_path, keep_truncated=True).num_images == 19
    source = shards.open_shards(str(tmp_path))
    short = next(number for number, name in enumerate(source.ids) if "short" in name)
    pixels = tf.io.decode_jpeg(source.read(short)).numpy().astype(int)
    assert np.abs(pixels[:40] - np.asarray(photo(17))[:40]).mean() < 4


def test_larger_images_are_made_smaller_and_upright(folder, tmp_path):
    _write(folder, tmp_path, longest_side_px=100)
    source = shards.open_shards(str(tmp_path))
    for number, name in enumerate(source.ids):
        image = Image.open(io.BytesIO(source.read(number)))
        features = source.features(number)
        size = [features[f"image/{key}"].int64_list.value[0] for key in ("width", "height", "orientation")]
        if "turned" in name:
            assert image.size == (50, 100) and size == [50, 100, 1]
            expected = photo(18, (200, 100)).resize((100, 50)).transpose(Image.Transpose.ROTATE_270)
            assert np.abs(np.asarray(image).astype(int) - np.asarray(expected)).mean() < 4
        else:
            assert source.read(number) == (folder / name).read_bytes()


def test_the_audit_counts_formats_and_sizes_and_is_stored(folder, tmp_path):
    audit = _write(folder, tmp_path)
    assert audit.images_by_format == {"JPEG": 18} and audit.num_rejected == 2
    assert (audit.shorter_side_px[0], audit.shorter_side_px[3], audit.shorter_side_px[-1]) == (32, 64, 100)
    assert (audit.longer_side_px[0], audit.longer_side_px[-1]) == (48, 200)
    assert _write(folder, tmp_path) == audit
    for piece in (
        "18 images in 1 shard,",
        "JPEG 18",
        "1 rejected: not an image",
        "3 images beyond the first of 1 group",
    ):
        assert piece in audit.text()
    write_audit(audit, str(tmp_path), str(tmp_path / "audit.html"))
    page = (tmp_path / "audit.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 18 + 4
    assert all(f"<td>{name}</td>" in page and name in audit.text() for name in ("minimum", "median", "maximum"))
    assert "odd/17 short.jpg" in page and "does not decode" in page and "even/00.jpg" in page


def test_two_preparations_of_the_same_images_are_equal_byte_by_byte(folder, tmp_path):
    """The places of the images and of the shards are in no file."""
    shutil.copytree(folder, tmp_path / "elsewhere")
    contents = []
    for images, output in ((folder, tmp_path / "one"), (tmp_path / "elsewhere", tmp_path / "another place")):
        write_audit(_write(images, output), str(output), str(output / "audit.html"))
        contents.append({path.name: path.read_bytes() for path in output.iterdir() if not storage.is_hidden(path.name)})
    assert contents[0] == contents[1] and contents[0].keys() >= {"audit.html", "manifest.json", "rejected.tsv"}


def test_several_labels_of_an_image_are_kept(folder, tmp_path):
    table = folder / "labels.csv"
    table.write_text("file,one,two\neven/00.jpg,cat,dog\nodd/01.jpg,dog,\neven/02.jpg,,\n")
    prepare.write_shards(
        registry.open_source(f"csv:{table}"), str(tmp_path), ShardOptions(), run=LocalRunner(1), shard_bytes=10**6
    )
    table.unlink()
    source = shards.open_shards(str(tmp_path))
    found = {name: source.classes_of(number) for number, name in enumerate(source.ids)}
    assert found == {"even/00.jpg": (0, 1), "odd/01.jpg": (1,), "even/02.jpg": ()}
    assert source.labels is None


def test_absent_labels_are_kept(folder, tmp_path):
    table = folder / "labels.csv"
    table.write_text("file,kind,absent\neven/00.jpg,cat,\nodd/01.jpg,,cat;dog\n")
    prepare.write_shards(
        registry.open_source(f"csv:{table}"), str(tmp_path), ShardOptions(), run=LocalRunner(1), shard_bytes=10**6
    )
    table.unlink()
    source = shards.open_shards(str(tmp_path))
    found = {name: source.absent_of(number) for number, name in enumerate(source.ids)}
    assert found == {"even/00.jpg": (), "odd/01.jpg": (0, 1)}


def test_two_runs_do_not_write_one_output(folder, tmp_path):
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is writing shards there"):
            _write(folder, tmp_path / "out")
    _write(folder, tmp_path / "out")  # a lock is free if its process has died


def test_unfinished_shards_with_other_settings_are_refused(folder, tmp_path):
    _write(folder, tmp_path, longest_side_px=50)
    for other, named in [
        ({}, r"differ in longest_side_px \(50, now 0\); give an empty"),
        ({"longest_side_px": 50, "keep_truncated": True}, r"differ in keep_truncated \(False, now True\); give"),
    ]:
        with pytest.raises(InputError, match=named):
            _write(folder, tmp_path, **other)


def test_other_images_with_the_same_names_do_not_count_as_finished(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    _write(other, tmp_path / "out")
    (other / "even" / "02.jpg").write_bytes(_jpeg(photo(99)))
    with pytest.raises(InputError, match="differ in content of images; give"):
        _write(other, tmp_path / "out")


def test_other_classes_do_not_count_as_finished(folder, tmp_path):
    table, output = folder / "classes.csv", str(tmp_path)

    def write(label):
        table.write_text(f"file,class\neven/00.jpg,{label}\n")
        source = registry.open_source(f"csv:{table}")
        prepare.write_shards(source, output, ShardOptions(), run=LocalRunner(1), shard_bytes=10**6)

    write("cat")
    with pytest.raises(InputError, match="differ in names or classes of images; give"):
        write("dog")
    table.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("drop_duplicates", [False, True])
def test_a_source_that_vanishes_stops_the_work_and_the_work_continues_later(folder, tmp_path, drop_duplicates):
    images = tmp_path / "images"
    shutil.copytree(folder, images)

    class Vanishing(LocalRunner):
        def __call__(self, task, numbers):
            images.rename(tmp_path / "away")
            yield from super().__call__(task, numbers)

    write = functools.partial(_write, images, tmp_path / "out", shard_bytes=3000, drop_duplicates=drop_duplicates)
    with pytest.raises(InputError, match="cannot be read: No such file or directory, like 0 images before it"):
        write(run=Vanishing(1))
    (tmp_path / "away").rename(images)
    assert write().num_images == _write(folder, tmp_path / "whole", drop_duplicates=drop_duplicates).num_images


def test_a_name_that_is_no_text_is_shown_escaped(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    with open(os.fsencode(images) + b"/caf\xe9.jpg", "wb") as file:
        file.write(_jpeg(photo(0)))
    audit = _write(images, tmp_path / "out")
    write_audit(audit, str(tmp_path / "out"), str(tmp_path / "audit.html"))
    assert "caf\\udce9.jpg" in (tmp_path / "audit.html").read_text()


def test_dark_images_are_reported_and_12_bit_images_are_not_dark(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for seed in range(3):
        Image.fromarray(np.random.default_rng(seed).integers(0, 4096, (40, 50), np.uint16)).save(images / f"{seed}.png")
    assert "nearly black" not in _write(images, tmp_path / "none").text()
    for name in ("cap on.jpg", "night.png"):
        Image.new("RGB", (50, 40), (3, 3, 3)).save(images / name)
    audit = _write(images, tmp_path / "out")
    assert audit.num_dark == 2
    assert re.search("nearly black: 2 images, such as (cap on.jpg|night.png), .*; look at some of them", audit.text())
    write_audit(audit, str(tmp_path / "out"), str(tmp_path / "audit.html"))
    assert "nearly black: 2 images" in (tmp_path / "audit.html").read_text()


def test_files_that_a_killed_run_left_are_removed(folder, tmp_path):
    for name in (".plan.json.0123abcd.unfinished", ".images-00000-of-00001.unfinished.tfrecord"):
        (tmp_path / name).write_text("{")
    _write(folder, tmp_path)
    assert not list(tmp_path.glob(".*unfinished*"))
    left = tmp_path / "images-00000-of-00001.entries"
    left.write_bytes(b"")
    _write(folder, tmp_path)
    assert not left.exists()


@pytest.mark.slow
def test_damaged_notes_of_a_killed_run_get_one_sentence_and_the_shards_come_out_the_same(folder, tmp_path):
    """A flipped bit in the entries would give another label to an image."""
    whole, place = tmp_path / "whole", tmp_path / "shards"
    _write(folder, whole, shard_bytes=3000, drop_duplicates=True)
    for suffix in ("entries", "notes.json", "thumbnails"):
        with pytest.raises(InputError, match="stopped"):
            _write(folder, place, shard_bytes=3000, drop_duplicates=True, run=_all_but_one)
        damaged = sorted(place.glob(f"*.{suffix}"))[0]
        content = bytearray(damaged.read_bytes())
        content[16] ^= 1
        damaged.write_bytes(content[:-1] if suffix == "thumbnails" else content)
        with pytest.raises(InputError, match="damaged.*run the same again"):
            _write(folder, place, shard_bytes=3000, drop_duplicates=True)
        _write(folder, place, shard_bytes=3000, drop_duplicates=True)
        assert _contents(place) == _contents(whole)
        shutil.rmtree(place)


def _all_but_one(job, numbers):
    """Runs a job, but stops before the last shard."""
    is_last = isinstance(job, writer.ShardJob)
    yield from LocalRunner(1)(job, numbers[:-1] if is_last else numbers)
    if is_last:
        raise InputError("stopped")


def _contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.suffix != ".html"}


def test_the_output_is_checked_before_the_images(tmp_path):
    (tmp_path / "thesis.txt").write_text("hello")
    with pytest.raises(InputError, match="holds something else"):
        prepare.check_output(str(tmp_path))
    with pytest.raises(InputError, match="cannot be a directory"):
        prepare.check_output(str(tmp_path / "thesis.txt"))


def test_shards_by_url(folder):
    root = "memory://preparation_test/out"
    _write(folder, root, shard_bytes=10_000)
    assert _names(root) == _names_of(folder)
    assert not [name for name in storage.names(root) if "unfinished" in name]
    manifest = json.loads(storage.read(f"{root}/manifest.json"))
    assert len(manifest["shards"]) > 1
    with pytest.raises(InputError, match=r"differ in shard_bytes \(10000, now 5000\)"):
        _write(folder, root, shard_bytes=5000)


def _names_of(folder):
    return sorted(path.name for path in folder.glob("*/*") if path.name not in ("17 short.jpg", "19.jpg"))


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """The source has four hundred images of one megabyte. Only a few of them may be in memory at once."""

    class Large(Source):
        def __init__(self, num: int) -> None:
            self.ids = [str(number) for number in range(num)]

        def read(self, index: int) -> bytes:
            return _jpeg(photo(index % 3, (32, 32))) + bytes(1_000_000)

    def write(num):
        job = writer.ShardJob(Large(num), str(tmp_path), [np.arange(num)], ShardOptions(), {})
        job(0)
        pathlib.Path(job.path(0)).unlink()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    few = write(40)
    assert write(400) - few < 50 * 1024
