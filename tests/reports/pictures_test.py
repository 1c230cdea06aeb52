"""Images as data URIs."""

import base64
import io

import numpy as np
from PIL import Image

from seer_tf.reports.pictures import data_uri


def _decoded(uri: str) -> np.ndarray:
    kind, _, encoded = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


def test_a_small_image_is_equal_after_encoding_and_decoding():
    """The size stays, and colours change only by JPEG's loss. The test fails if channels are swapped."""
    rows, columns = np.mgrid[0:20, 0:30]
    image = np.stack([8 * columns, 12 * rows, 0 * rows + 40], axis=-1).astype(np.uint8)
    assert np.abs(_decoded(data_uri(image)).astype(int) - image).mean() < 3


def test_a_large_image_is_made_smaller():
    """The proportions stay the same."""
    assert _decoded(data_uri(np.zeros([300, 600, 3], np.uint8), longest_side_px=64)).shape == (32, 64, 3)
