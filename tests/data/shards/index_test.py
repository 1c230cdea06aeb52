"""An index is read where it is needed, and its checksum is compared before a label counts."""

import pathlib

import numpy as np
import pytest

from seer_tf.data.shards import index as shard_index
from seer_tf.data.shards.index import Index, JoinedIndex
from seer_tf.errors import InputError
from seer_tf.files import storage


def _written(path: str, num_images: int) -> tuple[np.ndarray, int]:
    rows = np.arange(3 * num_images, dtype=np.int64).reshape(-1, 3)
    return rows, shard_index.write(path, rows)


@pytest.fixture(params=["disk", "url"])
def path(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    return str(tmp_path / "index.npy") if request.param == "disk" else f"memory://{tmp_path}/index.npy"


def test_rows_are_those_that_were_written(path: str) -> None:
    rows, crc32c = _written(path, 5000)
    index = Index(path, crc32c)
    assert len(index) == 5000
    for first, end in ((0, 1), (1023, 1025), (1024, 2048), (4999, 5000), (0, 5000), (7, 7)):
        np.testing.assert_array_equal(index.rows(first, end), rows[first:end])
        np.testing.assert_array_equal(index.labels(first, end), rows[first:end, 2])


def test_a_large_index_is_not_read_when_it_is_opened(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, crc32c = _written(path, 50_000)
    read = storage.read
    sizes = []

    def counting(path: str, offset: int = 0, num_bytes: int = -1) -> bytes:
        content = read(path, offset, num_bytes)
        sizes.append(len(content))
        return content

    monkeypatch.setattr(storage, "read", counting)
    monkeypatch.setattr(shard_index, "_SMALL_BYTES", 1000)
    index = Index(path, crc32c)
    np.testing.assert_array_equal(index.rows(40_000, 40_010), rows[40_000:40_010])
    np.testing.assert_array_equal(index.rows(40_010, 40_020), rows[40_010:40_020])
    assert sum(sizes) <= 4096 + 1024 * 24


def test_a_large_index_is_checked_before_a_label_counts(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, crc32c = _written(path, 5000)
    content = bytearray(storage.read(path))
    content[-8] ^= 1  # the label of the last image
    storage.write(path, bytes(content))
    with pytest.raises(InputError, match="the index is missing or broken"):
        Index(path, crc32c)
    monkeypatch.setattr(shard_index, "_SMALL_BYTES", 1000)
    index = Index(path, crc32c)
    assert index.rows(4999, 5000)[0, 0] == 3 * 4999
    for _ in range(2):
        with pytest.raises(InputError, match="the index is missing or broken"):
            index.labels(0, 1)


@pytest.mark.parametrize("cut", [1, 100])
def test_an_index_that_ends_early_is_refused(path: str, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _written(path, 5000)
    storage.write(path, storage.read(path)[:-cut])
    monkeypatch.setattr(shard_index, "_SMALL_BYTES", 1000)
    with pytest.raises(InputError, match="the index is missing or broken"):
        Index(path, 1)


def test_indexes_are_joined_one_after_another(tmp_path: pathlib.Path) -> None:
    sizes = (3, 1, 5)
    written = [_written(str(tmp_path / f"{number}.npy"), size) for number, size in enumerate(sizes)]
    joined = JoinedIndex([Index(str(tmp_path / f"{number}.npy"), crc) for number, (_, crc) in enumerate(written)])
    whole = np.concatenate([rows for rows, _ in written])
    for first in range(9):
        for end in range(first + 1, 10):
            np.testing.assert_array_equal(joined.rows(first, end), whole[first:end])
            np.testing.assert_array_equal(joined.labels(first, end), whole[first:end, 2])


def test_rows_that_do_not_follow_each_other_are_refused() -> None:
    rows = np.array([[0, 10, 0], [26, 4, 0]])
    shard_index.check_neighbours("index.npy", rows, 46)
    for harm in (rows + [[1, 0, 0], [0, 0, 0]], rows - [[0, 20, 0], [0, 20, 0]], rows - [[1, 0, 0], [1, 0, 0]]):
        with pytest.raises(InputError, match="the index is missing or broken"):
            shard_index.check_neighbours("index.npy", harm, 46)
    with pytest.raises(InputError, match="the index is missing or broken"):
        shard_index.check_neighbours("index.npy", rows, 45)
