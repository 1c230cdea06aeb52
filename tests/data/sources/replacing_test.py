"""The next usable image replaces a bad image. Bad images are counted and named, and too many of them stop the run."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from seer_tf.config import CropsConfig
from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.pipelines import pretraining
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.errors import InputError

_NUM_IMAGES = 40
_PLAIN = CropsConfig(
    num=(2,),
    sizes_px=(8,),
    min_area_fractions=(0.5,),
    max_area_fractions=(1.0,),
    color_jitter_probability=0.0,
    grayscale_probability=0.0,
    blur_probability=0.0,
)


class _Source(Source):
    """Image i has colour i. Some images are bad, each in its own way."""

    def __init__(self, bad: dict[int, str], is_verified: bool = False) -> None:
        self.ids = [f"image {number}" for number in range(_NUM_IMAGES)]
        self.is_verified, self._bad = is_verified, bad

    def read(self, index: int) -> bytes:
        encoded = io.BytesIO()
        Image.new("RGB", (30, 30), (index, 0, 0)).save(encoded, "PNG")
        content = encoded.getvalue()
        return {
            "": lambda: content,
            "text": lambda: b"hello",
            "pixels": lambda: content[:-30],
            "record": _unusable,
            "bomb": lambda: content[:16] + b"\0\0\xff\xff" * 2 + content[24:],
            "vanished": _vanished,
        }[self._bad.get(index, "")]()


def _unusable() -> bytes:
    raise UnusableImageError("shard 3 is broken at byte 7")


def _vanished() -> bytes:
    raise InputError("shard 3: it cannot be read; put it back.")


def _numbers(source, num_steps=5, batch=8, local=None, first=0, first_step=0):
    """Returns the number of each element's image, read from its colour."""
    dataset = pretraining.pretraining_dataset(
        ReplacingSource(source, 0.2),
        _PLAIN,
        local_batch_size=local or batch,
        global_batch_size=batch,
        first_image_in_batch=first,
        seed=3,
        first_step=first_step,
    )
    with unreadable_images_named():
        return np.concatenate([group[:, 0, 0, 0, 0].numpy() for (group,) in dataset.take(num_steps)])


_BAD = {3: "text", 4: "pixels", 11: "record", 25: "bomb", 39: "pixels"}
_STAND_INS = {3: 5, 4: 5, 11: 12, 25: 26, 39: 0}


def test_the_next_usable_image_replaces_a_bad_image_and_nothing_else_changes(caplog):
    good, bad = _numbers(_Source({})), _numbers(_Source(_BAD))
    assert sorted(good) == list(range(_NUM_IMAGES))
    assert [_STAND_INS.get(number, number) for number in good.tolist()] == bad.tolist()
    for sentence in (
        "image 3: not an image; another image replaces it",
        "image 4: does not decode",
        "image 11: shard 3 is broken at byte 7",
        "image 25: 65535 x 65535 pixels are more than 300 MB decoded",
        "5 so far",
    ):
        assert sentence in caplog.text
    assert caplog.text.count("another image replaces it") == 5
    # The same on two workers, and from a later step on.
    halves = [_numbers(_Source(_BAD), num_steps=2, first_step=2, local=4, first=first) for first in (0, 4)]
    assert (np.concatenate([half.reshape(2, 4) for half in halves], axis=1).reshape(-1) == bad[16:32]).all()


def test_a_verified_source_is_not_checked_again_except_for_broken_records():
    source = _Source({3: "text", 11: "record"}, is_verified=True)
    numbers = _numbers(source).tolist()
    assert numbers.count(12) == numbers.count(4) == 2
    with pytest.raises(InputError, match="cannot be decoded"):
        _numbers(_Source({4: "pixels"}, is_verified=True))


@pytest.mark.slow
def test_a_slow_read_does_not_reorder_the_stream():
    class Slow(_Source):
        def read(self, index: int) -> bytes:
            time.sleep(0.05 if index % 7 == 0 else 0.0)
            return super().read(index)

    assert (_numbers(Slow({})) == _numbers(_Source({}))).all()


@pytest.mark.parametrize("bad", _BAD)
def test_every_kind_of_bad_image_is_replaced(bad):
    source = ReplacingSource(_Source(_BAD), 1.0)
    expected = _Source({}).read(_STAND_INS[bad])
    assert (source.read_replacement(bad) if _BAD[bad] == "pixels" else source.read(bad)) == expected
    assert source.read(bad) == source.read_replacement(bad) == expected
    assert source.num_images == _NUM_IMAGES


def test_too_many_bad_images_are_an_error_by_name():
    source = ReplacingSource(_Source(_BAD), 3 / 40)
    source.read(3)
    assert source.num_bad == 2
    source.read_replacement(4)
    assert source.num_bad == 2
    source.read(11)
    sentence = "4 of 40 images cannot be used, more than data.max_bad_fraction=0.075 allows, the last image 25: 65535"
    with pytest.raises(InputError, match=sentence):
        source.read(25)


def test_a_source_without_a_usable_image_is_an_error():
    source = ReplacingSource(_Source(dict.fromkeys(range(_NUM_IMAGES), "pixels")), 1.0)
    with pytest.raises(InputError, match="not one of 40 images can be used; the last: image 7"):
        source.read_replacement(7)


def test_a_missing_file_stops_the_run_at_once():
    with pytest.raises(InputError, match="shard 3: it cannot be read; put it back"):
        ReplacingSource(_Source({7: "vanished"}), 1.0).read(7)
