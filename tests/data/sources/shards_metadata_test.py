"""Damage to the metadata of shards changes no name and no class."""

import json

import numpy as np

from seer_tf.data.sources import shards
from seer_tf.errors import InputError
from tests import mutations
from tests.data.sources.numbered_images import write_shards


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
    write_shards(tmp_path)
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
    write_shards(tmp_path)
    path = tmp_path / "manifest.json"
    good = path.read_bytes()
    for content in mutations.retyped(good, 200, without=("checksum", "index_crc32c")):
        path.write_bytes(content)
        for use in (lambda: shards.open_shards(str(tmp_path)).labels, lambda: write_shards(tmp_path)):
            try:
                use()
            except InputError as error:
                assert len(str(error).splitlines()) == 1


def test_an_index_without_a_checksum_must_fit_its_shards(tmp_path):
    write_shards(tmp_path)
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
            source = shards.open_shards(str(tmp_path))
            found = source._index.rows(0, source.num_images)
        except InputError:
            continue
        np.testing.assert_array_equal(found[:, :2], whole[:, :2])
        assert (found[:, 2] < 2).all() and (found[:, 2] >= -2).all()
