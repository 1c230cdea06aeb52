"""Each public function refuses a path that the system does not take, by one sentence."""

import inspect
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import pytest

import seer_tf
from seer_tf.api.model import Model
from seer_tf.models import RegNetY
from seer_tf.models.tasks.classifier import ImageClassifier
from tests.api.boxes import write_boxes
from tests.noise_images import write_classes
from tests.places import GOLDEN

pytest.importorskip("keras_hub")
pytest.importorskip("pycocotools")

_MODEL = GOLDEN / "before_0_2" / "backbone.keras"
_PATHS = ("x" * 256, "directory/" * 420, "a\0b")
_KINDS = ("", "folder:", "csv:", "list:", "tar:", "shards:")
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(seer_tf, name) for name in seer_tf.__all__ if inspect.isfunction(getattr(seer_tf, name))},
    "Backbone.from_preset": seer_tf.Backbone.from_preset,
    "Model.features": Model(_MODEL).features,
    "Model.evaluate": Model(_MODEL).evaluate,
    "Model.export": Model(_MODEL).export,
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "pretrain": {"recipe": "debug_tiny"},
    "finetune": {"recipe": "finetune_small"},
    "compare_methods": {"steps": 1},
}
_NEEDED = {
    "compare_methods": ("data", "output", "test_data"),
    "evaluate": ("model", "train", "test"),
    "export": ("model", "output_dir"),
    "finetune": ("model", "run_dir", "train", "test"),
    "finetune_detector": ("model", "output_dir", "boxes"),
    "pretrain": ("data", "run_dir"),
    "Model.evaluate": ("train", "test"),
}
_OF_PROTOCOLS = {
    "class_map": "robustness",
    "class_names": "robustness",
    "cells": "geolocation",
    "places": "geolocation",
    "distractors": "copy_detection",
    "whitening_data": "copy_detection",
}


def _takes_a_path(parameter: inspect.Parameter) -> bool:
    return "PathLike" in str(parameter.annotation)


_ARGUMENTS = [
    (name, parameter)
    for name, function in _FUNCTIONS.items()
    for parameter in inspect.signature(function).parameters.values()
    if _takes_a_path(parameter)
]


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Right values by the name of the argument."""
    place = tmp_path_factory.mktemp("right")
    write_boxes(place / "boxes", ("train", "test"))
    sets = {
        name: write_classes(place / name, {"cat": 12, "dog": 12}) for name in ("data", "train", "test", "test_data")
    }
    outputs = {name: name for name in ("output", "output_dir", "run_dir")}
    return {"model": _MODEL, "boxes": place / "boxes", **sets, **outputs}


@pytest.fixture(scope="module")
def classifier(right: dict[str, Any]) -> pathlib.Path:
    """A file with a classifier."""
    parts = RegNetY("90MF", stem_stride=1), keras.layers.Dense(2), (0.5,) * 3, (0.5,) * 3, ("cat", "dog")
    file = pathlib.Path(right["data"]).parent / "classifier.keras"
    ImageClassifier(*parts, transform={"size_px": 32}).save(file)
    return file


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "parameter"), _ARGUMENTS, ids=[f"{name}-{each.name}" for name, each in _ARGUMENTS])
def test_each_path_is_refused_and_nothing_is_left(
    right: dict[str, Any], tmp_path: pathlib.Path, name: str, parameter: inspect.Parameter
) -> None:
    given = {**_SETTINGS.get(name, {}), **{argument: right[argument] for argument in _NEEDED.get(name, ())}}
    for value in _wrong(parameter):
        with pytest.raises(seer_tf.InputError) as error:
            _FUNCTIONS[name](**{**given, parameter.name: value})
        assert _is_about_the_path(str(error.value))
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argument", _OF_PROTOCOLS)
@pytest.mark.parametrize("path", _PATHS, ids=("name", "path", "nul"))
def test_paths_of_protocols_are_refused(
    right: dict[str, Any], classifier: pathlib.Path, argument: str, path: str
) -> None:
    protocol = _OF_PROTOCOLS[argument]
    train = right["train"] if protocol == "copy_detection" else None
    others: dict[str, Any] = {"cells": "cells.csv", "places": "places.csv"} if protocol == "geolocation" else {}
    pathlib.Path("cells.csv").write_text("cell,latitude,longitude\ncat,1,2\ndog,3,4\n")
    with pytest.raises(seer_tf.InputError) as error:
        seer_tf.evaluate(classifier, train=train, test=right["test"], protocol=protocol, **{**others, argument: path})
    assert _is_about_the_path(str(error.value))


def _wrong(parameter: inspect.Parameter) -> Iterator[Any]:
    """Yields wrong values: as text, as a path, as a data spec of each kind, or in a list."""
    annotation = str(parameter.annotation)
    for path in _PATHS:
        if "Sequence[str |" in annotation:
            yield [path]
        elif "Dataset" in annotation:
            yield from (kind + path for kind in _KINDS)
        else:
            yield from (path, pathlib.Path(path))


def _is_about_the_path(sentence: str) -> bool:
    known = ("x" * 50, "directory/" * 5, "a\\x00b", "File name too long", "what is written can have at most")
    return sentence.isprintable() and any(part in sentence for part in known)
