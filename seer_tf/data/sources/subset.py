"""A part of labelled images to learn from: balanced, by seed, or by a list of files."""

import collections
import posixpath

import numpy as np

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.selection import Selection
from seer_tf.errors import InputError
from seer_tf.files import storage


def balanced_subset(labels: np.ndarray, fraction: float, *, seed: int) -> np.ndarray:
    """Chooses the same share of every class, rounded, and one image of each at least.

    Of one seed a smaller share is part of every larger one.

    Args:
        labels: class of each image, int [N].
        fraction: above 0, at most 1.
        seed: another seed chooses other images.

    Returns:
        Numbers of the images, int64 [n], in order.

    Raises:
        InputError: the share is not between 0 and 1.
    """
    if not 0 < fraction <= 1:
        size = "larger than the data" if fraction > 1 else "empty"
        raise InputError(f"data.fraction={fraction:g} is a subset that is {size}; give more than 0 and at most 1")
    chosen = []
    for label in np.unique(labels):
        members = np.random.default_rng([seed, int(label)]).permutation(np.flatnonzero(labels == label))
        chosen.append(members[: max(1, round(fraction * len(members)))])
    return np.sort(np.concatenate(chosen))


def listed_subset(source: Source, path: str) -> np.ndarray:
    """Finds the images that a list names, one on each line, by their whole name in the data or by that of the file.

    So the lists of SimCLR, which have names of files without their folders, serve as they are.

    Args:
        source: the data.
        path: of the list; empty lines do not count.

    Returns:
        Numbers of the images, int64 [n], in order.

    Raises:
        InputError: the list cannot be read, is empty or larger than the data, or names an image twice, one that is not
            there, or a file of which there are several.
    """
    try:
        lines = [line.strip() for line in storage.read(path).decode("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list {path} cannot be read ({error}); give a text file with an image a line") from None
    if not lines:
        raise InputError(f"the list {path} names no image; write one on each line")
    if len(lines) > source.num_images:
        raise InputError(f"the list {path} names {len(lines)} images, more than the {source.num_images} of the data")
    places: dict[str, list[int]] = collections.defaultdict(list)
    for number, name in enumerate(source.ids):
        for key in {name, posixpath.basename(name)}:
            places[key].append(number)
    found = [places.get(line, []) for line in lines]
    for what, wrong in (
        ("not in the data", [line for line, numbers in zip(lines, found, strict=True) if not numbers]),
        ("several times in the data", [line for line, numbers in zip(lines, found, strict=True) if len(numbers) > 1]),
    ):
        if wrong:
            raise InputError(
                f"{len(wrong)} of the {len(lines)} images in the list {path} are {what}, the first {wrong[0]}; give "
                f"names such as {source.ids[0]}"
            )
    chosen = np.unique(np.array(found, np.int64))
    if len(chosen) < len(lines):
        raise InputError(f"the list {path} names {len(lines) - len(chosen)} images twice; name each once")
    return chosen


def subset(source: Source, labels: np.ndarray, *, fraction: float, list_path: str, seed: int) -> Selection:
    """Returns the images to learn from, as a source.

    Args:
        source: all images.
        labels: their classes, int [N].
        fraction: as in `balanced_subset`.
        list_path: as in `listed_subset`; where it is not empty it alone decides.
        seed: as in `balanced_subset`.

    Raises:
        InputError: as these two.
    """
    if list_path:
        return Selection(source, listed_subset(source, list_path))
    return Selection(source, balanced_subset(labels, fraction, seed=seed))
