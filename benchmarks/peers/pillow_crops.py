"""The peer for our crops: SwAV's transforms in Pillow and NumPy, composed as in torchvision.

TensorFlow is not imported.
"""

import io
import math

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

_GROUPS = ((2, 224, 0.14, 1.0), (4, 96, 0.05, 0.14))


def multicrop(task: tuple[bytes, int]) -> list[np.ndarray]:
    """Returns the crops for an encoded image and a seed: uint8 [2, 224, 224, 3] and [4, 96, 96, 3]."""
    encoded, seed = task
    rng = np.random.default_rng(seed)
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB")
    return [
        np.stack([np.asarray(_distorted(_cut(image, side, low, high, rng), rng)) for _ in range(num)])
        for num, side, low, high in _GROUPS
    ]


def _cut(image: Image.Image, side: int, low: float, high: float, rng: np.random.Generator) -> Image.Image:
    for _ in range(10):
        area = image.width * image.height * rng.uniform(low, high)
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= image.width and 0 < height <= image.height:
            break
    else:
        width = height = min(image.size)
    left, top = int(rng.integers(0, image.width - width + 1)), int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height)).resize((side, side), Image.Resampling.BILINEAR)


def _distorted(crop: Image.Image, rng: np.random.Generator) -> Image.Image:
    if rng.random() < 0.5:
        crop = ImageOps.mirror(crop)
    if rng.random() < 0.8:
        for operation in rng.permutation(4):
            crop = _jittered(crop, operation, rng)
    if rng.random() < 0.2:
        crop = ImageOps.grayscale(crop).convert("RGB")
    if rng.random() < 0.5:
        crop = crop.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0)))
    return crop


def _jittered(crop: Image.Image, operation: int, rng: np.random.Generator) -> Image.Image:
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    if operation < 3:
        return enhancers[operation](crop).enhance(rng.uniform(0.2, 1.8))
    hue, saturation, value = crop.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(int(rng.uniform(-0.2, 0.2) * 255) % 256)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")
