"""Images as part of a page."""

import base64
import io

import numpy as np
from PIL import Image

_JPEG_QUALITY = 88


def data_uri(image: np.ndarray, *, longest_side_px: int = 128) -> str:
    """Encodes an image as part of a page.

    Args:
        image: Uint8 [h, w, 3].
        longest_side_px: Largest side of the result, in pixels; smaller images keep their size.

    Returns:
        A data URI of a JPEG.
    """
    picture = Image.fromarray(image)
    picture.thumbnail((longest_side_px, longest_side_px))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")
