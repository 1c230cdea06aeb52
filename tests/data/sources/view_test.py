"""A view has every public attribute of its source, for every class of view."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seer_tf.data.pipelines.supervised import SameClassSource
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.data.sources.selection import Selection
from seer_tf.data.sources.view import View
from seer_tf.evaluation.features.fingerprints import FingerprintedSource

_PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\0\0\0\5\0\0\0\6" + bytes(8)  # a header that can be read
# `identity` uses `fingerprint` and `read`, which are forwarded. A view reads image by image; blocks are below it.
_CONTRACT = {name for name in {*vars(Source), *Source.__annotations__} if not name.startswith("_")} - {
    "identity",
    "in_blocks",
    "images_per_block",
}


class _Everything(Source):
    """No attribute has the default value of `Source`."""

    def __init__(self) -> None:
        self.ids, self.class_names = ["x", "y", "z"], ("a", "b")
        self.rejected, self.is_verified = [("w", "not an image")], True

    @property
    def num_images(self) -> int:
        return 2  # fewer than the number of names

    @property
    def labels(self) -> np.ndarray:
        return np.array([1, 0])

    def classes_of(self, index: int) -> tuple[int, ...]:
        return (index, 7)

    def absent_of(self, index: int) -> tuple[int, ...]:
        return (index, 5)

    def fingerprint(self, *, with_classes: bool = True) -> str:
        return f"of everything, {with_classes}"

    def read(self, index: int) -> bytes:
        return _PNG + bytes([index])


def _value(source: Source, name: str) -> Any:
    value = getattr(source, name)
    found = {
        "classes_of": lambda: value(1),
        "absent_of": lambda: value(1),
        "read": lambda: value(1),
        "fingerprint": lambda: [value(), value(with_classes=False)],
    }
    return found[name]() if callable(value) else np.asarray(value).tolist()


def test_the_list_of_attributes_is_complete() -> None:
    assert {
        "ids",
        "class_names",
        "rejected",
        "is_verified",
        "num_images",
        "labels",
        "classes_of",
        "absent_of",
    } <= _CONTRACT
    assert all(name in vars(_Everything) or name in vars(_Everything()) for name in _CONTRACT)


@pytest.mark.parametrize("name", sorted(_CONTRACT))
@pytest.mark.parametrize(
    "view",
    [
        View,
        FingerprintedSource,
        lambda of: SameClassSource(of, np.zeros(of.num_images)),
        lambda of: ReplacingSource(of, 0.5),
    ],
)
def test_every_attribute_of_the_contract_is_forwarded(view: Callable[[Source], Source], name: str) -> None:
    assert _value(view(_Everything()), name) == _value(_Everything(), name)


def test_a_selection_forwards_attributes_that_do_not_depend_on_the_choice() -> None:
    source = Selection(_Everything(), [1])
    assert source.rejected == [("w", "not an image")] and source.is_verified and source.class_names == ("a", "b")
