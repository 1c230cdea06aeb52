"""A subset of labelled images to learn from: balanced and drawn by a seed, or named by a list of files."""

import collections
import posixpath
from collections.abc import Mapping

import numpy as np

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.selection import Selection
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.quantities import counted


def class_members(source: Source) -> dict[int, np.ndarray]:
    """Returns the numbers of the images of each class, int64 `[n]`, by the number of the class.

    An image with several classes is in each of them. Images without a class come under the next number.
    """
    if source.labels is not None:
        return {int(label): np.flatnonzero(source.labels == label) for label in np.unique(source.labels)}
    members: dict[int, list[int]] = collections.defaultdict(list)
    for number in range(source.num_images):
        for label in source.classes_of(number) or (len(source.class_names or ()),):
            members[label].append(number)
    return {label: np.array(members[label], np.int64) for label in sorted(members)}


def balanced_subset(members: Mapping[int, np.ndarray], fraction: float, *, seed: int) -> np.ndarray:
    """Chooses the same fraction of every class, rounded, and at least one image of each class.

    For the same seed, the subset for a smaller fraction is a part of the subset for a larger one. An image with several
    classes is in the subset if one of them chooses it.

    Args:
        members: Numbers of the images of each class, as from `class_members`.
        fraction: Fraction of each class, above 0 and at most 1.
        seed: Seed of the choice.

    Returns:
        Numbers of the chosen images in rising order, int64 `[n]`.

    Raises:
        InputError: The fraction is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        size = "larger than the data" if fraction > 1 else "empty"
        raise InputError(f"data.fraction={fraction:g} is a subset that is {size}; give more than 0 and at most 1")
    chosen = []
    for label, numbers in members.items():
        shuffled = np.random.default_rng([seed, label]).permutation(numbers)
        chosen.append(shuffled[: max(1, round(fraction * len(numbers)))])
    return np.unique(np.concatenate(chosen))


def listed_subset(source: Source, path: str) -> np.ndarray:
    """Finds the images that a list names, one per line, by their whole name or by the name of the file alone.

    The lists that SimCLR publishes name files without their folders, so they can be used as they are.

    Args:
        source: All images.
        path: List of names; empty lines are ignored.

    Returns:
        Numbers of the listed images in rising order, int64 `[n]`.

    Raises:
        InputError: The list cannot be read, is empty or larger than the data, names an image twice, or names an image
            that the data lacks or has several times.
    """
    try:
        lines = [line.strip() for line in storage.read(path).decode("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list {path} cannot be read ({error}); give a text file with an image a line") from None
    if not lines:
        raise InputError(f"the list {path} names no image; write one on each line")
    if len(lines) > source.num_images:
        raise InputError(
            f"the list {path} names {counted(len(lines), 'image')}, more than the {source.num_images} of the data"
        )
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
                f"{what}: {len(wrong)} of {counted(len(lines), 'image')} in the list {path}, the first {wrong[0]}; "
                f"give names such as {source.ids[0]}"
            )
    chosen = np.unique(np.array(found, np.int64))
    if len(chosen) < len(lines):
        raise InputError(f"the list {path} names {counted(len(lines) - len(chosen), 'image')} twice; name each once")
    return chosen


def select_subset(source: Source, *, fraction: float, list_path: str, seed: int) -> Selection:
    """Returns the images to learn from, as a source.

    Args:
        source: All images.
        fraction: Fraction of each class, as for `balanced_subset`.
        list_path: List of names, as for `listed_subset`; if it is not empty, the fraction is ignored.
        seed: Seed of the choice, as for `balanced_subset`.

    Raises:
        InputError: The fraction or the list is not valid.
    """
    if list_path:
        return Selection(source, listed_subset(source, list_path))
    return Selection(source, balanced_subset(class_members(source), fraction, seed=seed))
