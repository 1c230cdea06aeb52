"""One classifier on other test sets: classes match by name or by a map, and only classes with images count."""

import numpy as np
import pytest

from seer_tf.errors import InputError
from seer_tf.evaluation.protocols.robustness import read_class_map, restricted_correct, right_classes

_NAMES = ("cat", "dog", "tabby", "ship")


def test_classes_are_matched_by_name_and_by_map(tmp_path):
    """One class in the test set may match several classes of the classifier."""
    (tmp_path / "map.csv").write_text("Katze,cat\nKatze,tabby\n\n")
    class_map = read_class_map(tmp_path / "map.csv")
    matrix = right_classes(_NAMES, ("dog", "Katze", "Fisch"), np.array([1, 0]), class_map)
    assert matrix.tolist() == [[False, True, False, False], [True, False, True, False], [False] * 4]
    with pytest.raises(InputError, match="no class Hund"):
        right_classes(_NAMES, ("Hund",), np.array([0]), class_map)


def test_the_classifier_chooses_only_among_classes_with_images():
    """The third image looks like a ship, but no test image is a ship.

    The test fails if the classifier chooses among all class names.
    """
    right = right_classes(_NAMES, _NAMES, np.arange(4), {})
    logits = np.array([[1.0, 0.0, 0.0, 0.0], [3.0, 2.0, 0.0, 0.0], [1.0, 0.5, 0.0, 9.0]])
    labels = np.array([0, 1, 0])
    assert restricted_correct(logits, labels, right).tolist() == [True, False, True]
    assert restricted_correct(logits, np.array([0, 3, 0]), right).tolist() == [True, False, False]


def test_each_of_several_right_classes_counts():
    """The map says that a tabby is a cat."""
    right = right_classes(_NAMES, ("Katze", "dog"), np.arange(2), {"Katze": ("cat", "tabby")})
    logits = np.eye(4)[[2, 0, 1, 1]]
    assert restricted_correct(logits, np.array([0, 0, 1, 0]), right).tolist() == [True, True, True, False]


@pytest.mark.parametrize("text", ["cat\n", "a,b,c\n"])
def test_a_map_of_other_than_two_columns_is_refused(tmp_path, text):
    """A missing map is refused too."""
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(InputError, match="row 1 has"):
        read_class_map(tmp_path / "map.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_class_map(tmp_path / "nowhere.csv")


def test_a_class_in_two_maps_is_refused(tmp_path):
    """Classes of two test sets may have one name and two meanings."""
    (tmp_path / "birds.csv").write_text("crane,heron\nrook,crow\n")
    (tmp_path / "machines.csv").write_text("lorry,truck\n")
    maps = [tmp_path / "birds.csv", tmp_path / "machines.csv"]
    assert read_class_map(*maps) == {"crane": ["heron"], "rook": ["crow"], "lorry": ["truck"]}
    (tmp_path / "machines.csv").write_text("crane,lift\n")
    with pytest.raises(InputError, match="machines.csv maps crane a second time"):
        read_class_map(*maps)
