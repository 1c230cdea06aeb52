"""Pascal VOC as image classes: present, absent and difficult classes, and errors."""

import pathlib

import pytest
from PIL import Image

from seer_tf.data.sources import registry
from seer_tf.data.sources.selection import Selection
from seer_tf.errors import InputError

_LISTS = {
    "cat_test": "000001 -1\n000002  1\n000003  0\n",
    "dog_test": "000001  1\n000002  1\n000003 -1\n",
    "dog_trainval": "000004 1\n",
}


@pytest.fixture
def voc(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three test images. The third image has a difficult cat."""
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    for number in range(1, 5):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / "JPEGImages" / f"{number:06d}.jpg")
    for name, text in _LISTS.items():
        (tmp_path / "ImageSets" / "Main" / f"{name}.txt").write_text(text)
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_text("000001\n000002\n000003\n")
    return tmp_path


def test_present_absent_and_difficult(voc: pathlib.Path) -> None:
    source = registry.open_source(f"voc:{voc}@test")
    assert source.class_names == ("cat", "dog") and source.labels is None
    assert list(source.ids) == [f"JPEGImages/{number:06d}.jpg" for number in (1, 2, 3)]
    assert [source.classes_of(index) for index in range(3)] == [(1,), (0, 1), ()]
    assert [source.absent_of(index) for index in range(3)] == [(0,), (), (1,)]
    assert Selection(source, [2]).absent_of(0) == (1,)


def test_relative_paths_in_the_flag_become_absolute(voc: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(voc.parent)
    assert registry.absolute(f"voc:{voc.name}@test") == f"voc:{voc}@test"


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("voc:{voc}", "the split is missing; write voc:DIR@SPLIT"),
        ("voc:{voc}@val", "no lists of a split 'val', such as dog_val.txt"),
        ("voc:{voc}/nowhere@test", "there is no such directory"),
        ("voc:{voc}/JPEGImages@test", "cannot be read .*give a directory of Pascal VOC"),
    ],
)
def test_a_wrong_split_or_place_is_refused(voc: pathlib.Path, flag: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        registry.check_source(flag.format(voc=voc))


@pytest.mark.parametrize("line", ["000001 2", "000001", "000001 1 1"])
def test_a_damaged_list_is_refused(voc: pathlib.Path, line: str) -> None:
    (voc / "ImageSets" / "Main" / "dog_test.txt").write_text(f"000002 1\n{line}\n")
    with pytest.raises(InputError, match="dog_test.txt: line 2 is not a name and 1, -1 or 0"):
        registry.open_source(f"voc:{voc}@test")
