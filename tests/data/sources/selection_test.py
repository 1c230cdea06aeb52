"""A selection is a source with some images of another source."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.data.sources.subset import select_subset


def test_a_selection_has_the_names_bytes_and_labels_of_its_images() -> None:
    source = open_source("builtin:test")
    some = Selection(source, np.array([7, 3]))
    assert some.num_images == 2
    assert some.ids == [source.ids[7], source.ids[3]]
    assert [some.read(0), some.read(1)] == [source.read(7), source.read(3)]
    assert some.labels is not None
    assert source.labels is not None
    np.testing.assert_array_equal(some.labels, source.labels[[7, 3]])
    assert some.class_names == source.class_names


@pytest.fixture
def table(tmp_path: Path) -> Source:
    for name in ("a", "b", "c", "d"):
        Image.new("RGB", (6, 5)).save(tmp_path / f"{name}.png")
    (tmp_path / "labels.csv").write_text("file,one,two\na.png,cat,dog\nb.png,dog,\nc.png,bird,cat\nd.png,cat,\n")
    return open_source(f"csv:{tmp_path / 'labels.csv'}")


def test_a_selection_of_a_table_keeps_several_labels(table: Source) -> None:
    some = Selection(table, [2, 1, 0])
    assert [some.classes_of(index) for index in range(3)] == [(0, 1), (2,), (1, 2)]
    assert some.labels is None
    again = Selection(some, [2, 0])
    assert [again.classes_of(index) for index in range(2)] == [(1, 2), (0, 1)]


def test_a_subset_of_a_table_keeps_several_labels(table: Source, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("c.png\nb.png\n")
    chosen = select_subset(table, fraction=1.0, list_path=str(tmp_path / "list.txt"), seed=0)
    assert chosen.ids == ["b.png", "c.png"]
    assert [chosen.classes_of(index) for index in range(2)] == [(2,), (0, 1)]


def test_a_selection_of_images_with_one_label_each_has_labels(table: Source) -> None:
    labels = Selection(table, [3, 1]).labels
    assert labels is not None and labels.dtype == np.int64 and labels.tolist() == [1, 2]


def test_the_choice_and_its_order_are_part_of_the_fingerprint(table: Source) -> None:
    choices = ([0, 1], [1, 0], [0, 1, 2])
    assert len({Selection(table, choice).fingerprint() for choice in choices} | {table.fingerprint()}) == 4
    assert Selection(table, [0, 1]).fingerprint() == Selection(table, [0, 1]).fingerprint()
