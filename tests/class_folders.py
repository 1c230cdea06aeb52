"""Built-in images as files, with a folder for each class."""

from collections.abc import Iterable
from pathlib import Path

from seer_tf.data.sources.builtin import class_names, render_image


def write_class_folders(folder: Path, split: str, numbers: Iterable[int]) -> None:
    """Writes images into one folder for each of their classes.

    Args:
        folder: Directory for the folders of the classes. It need not exist.
        split: `train` or `test`.
        numbers: Numbers of the images in the split.
    """
    for number in numbers:
        encoded, label = render_image(split, number)
        file = folder / class_names[label] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded)
