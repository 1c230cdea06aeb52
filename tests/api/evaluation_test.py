"""`seer_tf.evaluate` on arrays: the result, the results file, and the error messages."""

import pathlib
from typing import Any

import numpy as np
import pytest

import seer_tf
from seer_tf.errors import InputError
from seer_tf.evaluation.result import read_file


def _coloured(num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images of noise in two colours, and labels. Histograms separate the two classes."""
    random, labels = np.random.default_rng(seed), np.arange(num_images) % 2
    images = random.integers(0, 90, [num_images, 12, 14, 3])
    images[np.arange(num_images), :, :, 2 * labels] += 120
    return images.astype(np.uint8), labels


_TRAIN, _TEST = _coloured(24, 0), _coloured(12, 1)


@pytest.mark.parametrize(
    ("protocol", "recipe"),
    [
        ("knn", None),
        ("retrieval", None),
        pytest.param("linear_probe", "optimum", marks=pytest.mark.slow),
        pytest.param("linear_svm", None, marks=pytest.mark.slow),
    ],
)
def test_a_protocol_on_arrays(protocol: str, recipe: str | None, tmp_path: pathlib.Path) -> None:
    results = tmp_path / "results.jsonl"
    found = seer_tf.evaluate(
        train=_TRAIN, test=_TEST, protocol=protocol, recipe=recipe, pixels="histogram", results=results
    )
    assert (found.evaluation, found.value, found.num_train_images, found.num_test_images) == (protocol, 1.0, 24, 12)
    assert found.train_data is not None and found.train_data.startswith("24 images, ")
    assert read_file(results)[0].value == 1.0
    assert "<td>100.00</td>" in found._repr_html_() and found.protocol.partition(";")[0] in found._repr_html_()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"protocol": "knnn"}, "there is no protocol 'knnn': did you mean 'knn'"),
        ({"recipe": "grid"}, "`recipe=grid` works only with `protocol=linear_probe`"),
        ({}, "give either `model` for features of a network or `pixels`"),
        ({"test": _TRAIN, "pixels": "histogram"}, "`train_data` and `test_data` are both 24 images"),
        ({"train": _TRAIN[0], "pixels": "histogram"}, "the training data has no labels"),
        ({"train": "nowhere", "pixels": "histogram"}, "data 'nowhere' is not understood"),
        ({"model": "nowhere"}, "there is no file or directory nowhere"),
    ],
)
def test_bad_input_is_an_input_error(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        seer_tf.evaluate(**{"train": _TRAIN, "test": _TEST, **options})
