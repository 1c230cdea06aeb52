"""A small set of images with boxes, in the layout of COCO."""

import json
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image


def write_boxes(directory: pathlib.Path, splits: Sequence[str], class_names: Sequence[str] = ("cat", "dog")) -> None:
    """Writes four images of noise for each split, with one box each."""
    generator = np.random.default_rng(0)
    (directory / "annotations").mkdir(parents=True)
    for split in splits:
        (directory / split).mkdir()
        images, annotations = [], []
        for number in range(4):
            pixels = generator.integers(0, 256, [60, 80, 3]).astype(np.uint8)
            Image.fromarray(pixels).save(directory / split / f"{number}.jpg")
            images.append({"id": number, "file_name": f"{number}.jpg", "width": 80, "height": 60})
            annotations.append({"image_id": number, "category_id": number % 2, "bbox": [10, 10, 30, 25]})
        categories = [{"id": label, "name": name} for label, name in enumerate(class_names)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (directory / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
