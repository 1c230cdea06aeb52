"""The images that can be used: the others are left out, counted and named."""

import pytest

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.usable import usable
from seer_tf.errors import InputError
from tests.data.images import faults


class _Images(Source):
    def __init__(self, images: dict[str, bytes]) -> None:
        self.ids, self._encoded = list(images), list(images.values())

    def read(self, index: int) -> bytes:
        if not self._encoded[index]:
            raise UnusableImageError("it cannot be read")
        return self._encoded[index]


_BAD = {name: content for name, (content, _) in (faults.REFUSED | faults.CONVERTED).items()} | {"lost.jpg": b""}


def test_every_faulty_image_is_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    good = {f"good {name}": content for name, content in faults.ACCEPTED.items()}
    with caplog.at_level("WARNING"):
        found = usable(_Images({"good": faults.ACCEPTED["plain.jpg"], **_BAD, **good}))
    assert list(found.ids) == ["good", *good]
    assert found.read(1) == next(iter(good.values()))
    assert f"{len(_BAD)} of {len(_BAD) + len(good) + 1} images left out (" in caplog.text


def test_a_good_source_stays_itself() -> None:
    source = _Images(faults.ACCEPTED)
    assert usable(source) is source


def test_verified_images_are_not_decoded_again() -> None:
    source = _Images(_BAD)
    source.is_verified = True
    assert usable(source) is source


def test_nothing_usable_gets_one_sentence() -> None:
    with pytest.raises(InputError, match="none of 1 image can be used .lost.jpg: it cannot be read"):
        usable(_Images({"lost.jpg": b""}))
