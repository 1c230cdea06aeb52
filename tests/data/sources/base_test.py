"""The identity of a set of images: equal at any place, and different for other images."""

import pathlib
import shutil

import pytest
from PIL import Image

from seer_tf.data.sources.registry import open_source


@pytest.fixture
def images(tmp_path: pathlib.Path) -> pathlib.Path:
    """A hundred images in two class folders."""
    for number in range(100):
        file = tmp_path / "images" / "ab"[number % 2] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(file)
    return tmp_path / "images"


def _identity(directory: pathlib.Path, *, with_classes: bool = False) -> str:
    return open_source(f"folder:{directory}").identity(with_classes=with_classes)


def test_a_copy_is_the_same_set(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    before = [_identity(images, with_classes=with_classes) for with_classes in (False, True)]
    assert before[0].startswith("100 images, ") and before[0] != before[1]
    shutil.move(images, tmp_path / "moved")
    assert [_identity(tmp_path / "moved", with_classes=with_classes) for with_classes in (False, True)] == before


@pytest.mark.parametrize("change", ["one image less", "another name", "other pixels"])
def test_other_images_are_another_set(images: pathlib.Path, change: str) -> None:
    before = _identity(images)
    if change == "one image less":
        (images / "a" / "50.png").unlink()
    elif change == "another name":
        (images / "a" / "50.png").rename(images / "a" / "50a.png")
    else:
        for file in images.glob("*/*.png"):
            Image.new("RGB", (4, 4), (0, 1, 0)).save(file)
    assert _identity(images) != before


def test_classes_are_part_of_the_identity_if_asked_for(tmp_path: pathlib.Path, images: pathlib.Path) -> None:
    identities = []
    for label in ("red", "blue"):
        (tmp_path / "table.csv").write_text(f"path,label\nimages/a/00.png,{label}\nimages/b/01.png,x\n")
        source = open_source(f"csv:{tmp_path / 'table.csv'}")
        identities.append([source.identity(with_classes=with_classes) for with_classes in (False, True)])
    assert identities[0][0] == identities[1][0] and identities[0][1] != identities[1][1]
