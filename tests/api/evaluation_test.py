"""`seer_tf.evaluate` on arrays: the result, the results file, and the error messages."""

import inspect
import pathlib
import re
from typing import Any

import keras
import numpy as np
import pytest

import seer_tf
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.registry import EVALUATIONS
from seer_tf.evaluation.result import read_file
from seer_tf.models.tasks.classifier import ImageClassifier
from tests.exporting.tiny_network import CLASS_NAMES, SIZE_PX, tiny_network


def _coloured(num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images of noise in two colours, and labels. Histograms separate the two classes."""
    random, labels = np.random.default_rng(seed), np.arange(num_images) % 2
    images = random.integers(0, 90, [num_images, 12, 14, 3])
    images[np.arange(num_images), :, :, 2 * labels] += 120
    return images.astype(np.uint8), labels


_SHARED = ("feature", "evaluation")
#: Flags for files and pages that a command writes beside the result.
_OF_COMMANDS: dict[str, set[str]] = {
    "retrieval": {"sheet", "num_queries", "num_nearest"},
    "copy_detection": {"output", "threshold"},
}
_TRAIN, _TEST = _coloured(24, 0), _coloured(12, 1)


@pytest.mark.parametrize(
    ("protocol", "settings"),
    [
        ("knn", {}),
        ("retrieval", {}),
        pytest.param("linear_probe", {"recipe": "optimum"}, marks=pytest.mark.slow),
        pytest.param("linear_svm", {}, marks=pytest.mark.slow),
    ],
)
def test_a_protocol_on_arrays(protocol: str, settings: dict[str, Any], tmp_path: pathlib.Path) -> None:
    results = tmp_path / "results.jsonl"
    found = seer_tf.evaluate(
        train=_TRAIN, test=_TEST, protocol=protocol, pixels="histogram", results=results, **settings
    )
    assert (found.evaluation, found.value, found.num_train_images, found.num_test_images) == (protocol, 1.0, 24, 12)
    assert found.train_data is not None and found.train_data.startswith("24 images, ")
    assert read_file(results)[0].value == 1.0
    assert "<td>100.00</td>" in found._repr_html_() and found.protocol.partition(";")[0] in found._repr_html_()


def _squares(num_images: int, seed: int) -> np.ndarray:
    """Returns uint8 [N, 32, 32, 3], as large as the networks here see images."""
    return np.random.default_rng(seed).integers(0, 256, [num_images, SIZE_PX, SIZE_PX, 3]).astype(np.uint8)


def test_robustness_is_the_share_of_images_that_the_classifier_names(tmp_path: pathlib.Path) -> None:
    """The test set has two of the three classes, one of them under another name."""
    network = tiny_network()
    transform = {"size_px": SIZE_PX, "resize_px": SIZE_PX}
    model = ImageClassifier(
        network.backbone, network.classifier, network.mean, network.std, CLASS_NAMES, transform=transform
    )
    model.save(tmp_path / "classifier.keras")
    images, labels = _squares(10, 2), np.array(["first", CLASS_NAMES[1]])[np.arange(10) % 2]
    (tmp_path / "map.csv").write_text(f"first,{CLASS_NAMES[0]}\n")
    found = seer_tf.evaluate(
        tmp_path / "classifier.keras", test=(images, labels), protocol="robustness", class_map=tmp_path / "map.csv"
    )
    expected = model(images, training=False).numpy()[:, :2].argmax(axis=1) == np.arange(10) % 2
    assert 0 < expected.mean() < 1 and found.value == expected.mean() and found.num_test_images == 10
    assert found.train_data is None and found.protocol.startswith("among 2 of 3 classes")


def test_copies_are_found_among_originals_and_distractors(tmp_path: pathlib.Path) -> None:
    """Copies have the numbers of their originals, as in CopyDays. The images of another number are no queries."""
    tiny_network().backbone.save(tmp_path / "backbone.keras")
    originals = _squares(4, 0)
    for part, start in (("originals", 200_000), ("copies", 200_001)):
        (tmp_path / part).mkdir()
        for number, image in enumerate(originals):
            keras.utils.save_img(tmp_path / part / f"{start + 100 * number}.png", image, scale=False)
    keras.utils.save_img(tmp_path / "copies" / "300000.png", originals[0], scale=False)
    arguments: dict[str, Any] = {
        "train": tmp_path / "originals",
        "test": tmp_path / "copies",
        "protocol": "copy_detection",
    }
    found = seer_tf.evaluate(
        tmp_path / "backbone.keras", **arguments, stage="res2", longer_side_px=SIZE_PX, distractors=_squares(3, 1)
    )
    assert (found.value, found.num_test_images, found.num_classes) == (1.0, 4, 4)
    assert "rmac of res2 at 32 px, not whitened; 4 originals, 3 distractors" in found.protocol
    with pytest.raises(InputError, match="no name in `test` ends in a number of CopyDays"):
        seer_tf.evaluate(tmp_path / "backbone.keras", **{**arguments, "train": _squares(3, 1)})


def test_each_training_image_is_a_query_without_test_images() -> None:
    found = seer_tf.evaluate(train=_TRAIN, protocol="retrieval", pixels="histogram")
    assert (found.value, found.num_test_images) == (1.0, 24) and found.details["num_queries"] == 24


def test_a_command_and_its_call_have_the_same_settings() -> None:
    """All flags of each command of an evaluation are arguments, except for the files that only a command writes."""
    page = pathlib.Path(seer_tf.__file__).parent / "cli"
    shared = set(
        re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", "".join((page / f"{name}_flags.py").read_text() for name in _SHARED))
    )
    assert shared >= {"train_data", "stages", "untrained"}
    for protocol, evaluation in EVALUATIONS.items():
        own = set(re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", (page / f"{protocol}.py").read_text()))
        arguments = {*inspect.signature(seer_tf.evaluate).parameters, *inspect.signature(evaluation).parameters}
        arguments |= {"run_dir", "train_data", "test_data"}  # `model`, `train` and `test`
        assert own | shared <= arguments | _OF_COMMANDS.get(protocol, set()), protocol


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"protocol": "knnn"}, "there is no protocol 'knnn': did you mean 'knn'"),
        ({"recipe": "grid"}, "`recipe` is no setting of the protocol knn; it has none"),
        ({"protocol": "copy_detection", "model": "nowhere", "size": 9}, "it has distractors, whitening_data, stage, "),
        ({"protocol": "geolocation", "train": None, "places": "a.csv"}, "`cells` is missing: the protocol geolocation"),
        ({"train": None, "pixels": "histogram"}, "`train` is missing: this protocol needs two sets of images"),
        ({"test": None, "pixels": "histogram"}, "`test` is missing: this protocol needs two sets of images"),
        ({"protocol": "robustness", "model": "nowhere"}, "`train` is given, and robustness fits nothing"),
        ({"protocol": "robustness", "model": "nowhere", "train": None, "test": None}, "`test` is missing: labelled"),
        ({"protocol": "robustness", "train": None}, "`model` is missing; give a network with a classifier"),
        ({"protocol": "robustness", "train": None, "squash": True}, "this protocol does not use `squash`"),
        ({"protocol": "copy_detection", "stages": ["res4"]}, "this protocol does not use `stages`"),
        ({}, "give either `model` for features of a network or `pixels`"),
        ({"test": _TRAIN, "pixels": "histogram"}, "`train` and `test` are both 24 images"),
        ({"train": _TRAIN[0], "pixels": "histogram"}, "the training data has no labels"),
        ({"train": "nowhere", "pixels": "histogram"}, "data 'nowhere' is not understood"),
        ({"model": "nowhere"}, "there is no file or directory nowhere"),
    ],
)
def test_bad_input_is_an_input_error(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        seer_tf.evaluate(**{"train": _TRAIN, "test": _TEST, **options})
