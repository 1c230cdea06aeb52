"""Subsets of labelled images: balanced and nested, or named in a list."""

import pathlib

import numpy as np
import pytest

from seer_tf.data.sources.base import Source, single_labels
from seer_tf.data.sources.subset import balanced_subset, class_members, listed_subset, select_subset
from seer_tf.errors import InputError

_SIZES = {0: 200, 1: 37, 2: 1}


class _Names(Source):
    def __init__(self, names: list[str]) -> None:
        self.ids = names

    def read(self, index: int) -> bytes:
        raise NotImplementedError


class _Labelled(_Names):
    """Images with any number of classes each."""

    def __init__(self, classes: list[tuple[int, ...]]) -> None:
        super().__init__([f"{number}.jpg" for number in range(len(classes))])
        self.class_names, self._classes = ("a", "b", "c"), classes

    @property
    def labels(self) -> np.ndarray | None:
        return single_labels(self._classes)

    def classes_of(self, index: int) -> tuple[int, ...]:
        return self._classes[index]


def _labels() -> np.ndarray:
    labels = np.repeat([*_SIZES], [*_SIZES.values()])
    return np.random.default_rng(0).permutation(labels)


def _members() -> dict[int, np.ndarray]:
    return class_members(_Labelled([(label,) for label in _labels().tolist()]))


def test_a_subset_keeps_several_classes_of_an_image() -> None:
    """Each class gives its fraction. Images without a class form a separate group."""
    classes: list[tuple[int, ...]] = [(0, 1)] * 40 + [(1,)] * 20 + [(2,)] * 10 + [()] * 10
    source = _Labelled(classes)
    assert [len(numbers) for numbers in class_members(source).values()] == [40, 60, 10, 10]
    chosen = select_subset(source, fraction=0.1, list_path="", seed=0)
    counts = np.bincount([label for number in range(chosen.num_images) for label in chosen.classes_of(number)])
    assert counts[0] >= 4 and counts[1] >= 6 and counts[2] == 1 and chosen.class_names == ("a", "b", "c")
    assert [chosen.classes_of(number) for number in range(chosen.num_images)].count(()) == 1
    assert chosen.labels is None and chosen.num_images <= 4 + 6 + 1 + 1


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 1.0])
def test_every_class_gives_its_fraction(fraction: float) -> None:
    counts = np.bincount(_labels()[balanced_subset(_members(), fraction, seed=3)])
    assert counts.tolist() == [max(1, round(fraction * size)) for size in _SIZES.values()]


def test_the_seed_chooses_and_a_smaller_subset_is_part_of_a_larger_one() -> None:
    members = _members()
    parts = [set(balanced_subset(members, fraction, seed=3).tolist()) for fraction in (0.05, 0.1, 0.2, 0.5)]
    assert all(one < other for one, other in zip(parts, parts[1:], strict=False))
    assert set(balanced_subset(members, 0.1, seed=4).tolist()) != parts[1]
    assert balanced_subset(members, 0.1, seed=3).tolist() == sorted(parts[1])


def test_a_list_names_images_by_path_or_by_file_name(tmp_path: pathlib.Path) -> None:
    source = _Names(["n01/n01_3.JPEG", "n01/n01_7.JPEG", "n02/n02_3.JPEG"])
    (tmp_path / "list.txt").write_text("n02_3.JPEG\n\nn01/n01_3.JPEG\n")
    assert listed_subset(source, str(tmp_path / "list.txt")).tolist() == [0, 2]
    chosen = select_subset(source, fraction=0.1, list_path=str(tmp_path / "list.txt"), seed=0)
    assert chosen.ids == ["n01/n01_3.JPEG", "n02/n02_3.JPEG"]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            "a/1.jpg\nc/9.jpg",
            "not in the data: 1 of 2 images in the list .*, the first c/9.jpg; give names such",
        ),
        ("1.jpg", "several times in the data: 1 of 1 image .*, the first 1.jpg"),
        ("a/1.jpg\n2.jpg\na/2.jpg", "names 1 image twice"),
        ("a/1.jpg\na/2.jpg\nb/1.jpg\nb/5.jpg", "names 4 images, more than the 3 of the data"),
        ("\n", "names no image"),
    ],
)
def test_a_wrong_list_gets_one_sentence(tmp_path: pathlib.Path, lines: str, sentence: str) -> None:
    (tmp_path / "list.txt").write_text(lines)
    with pytest.raises(InputError, match=sentence):
        listed_subset(_Names(["a/1.jpg", "a/2.jpg", "b/1.jpg"]), str(tmp_path / "list.txt"))


def test_a_fraction_is_above_zero_and_at_most_one() -> None:
    with pytest.raises(InputError, match="data.fraction=1.5 is a subset that is larger than the data"):
        balanced_subset(_members(), 1.5, seed=0)
    with pytest.raises(InputError, match="data.fraction=0 is a subset that is empty"):
        balanced_subset(_members(), 0.0, seed=0)
