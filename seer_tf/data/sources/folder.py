"""`folder:DIR`: all images below a directory, whatever their names; class folders give labels to the images in them."""

import functools
import os
import re
from collections.abc import Sequence

import numpy as np
from absl import logging

from seer_tf.data.sources import image_files, system_folders
from seer_tf.data.sources.base import single_labels
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.quantities import counted

#: A path whose folder repeats the beginning of a number or a hash, as tools spread many files over folders.
_SPREAD = re.compile(r"([0-9a-f]{2,})/(?:[^/]+/)*\1[0-9a-f]*\.[^/.]+", re.IGNORECASE)
_SHORTEST_SPREAD_NAME = 8
_SPLITS = frozenset(("train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"))


class FolderSource(image_files.FilesSource):
    """One file per image; the top folders are the classes."""

    def __init__(self, directory: str, ids: Sequence[str], rejected: Sequence[tuple[str, str]] = ()) -> None:
        """Takes the paths `ids` of the images, relative to `directory`."""
        super().__init__(directory, ids, rejected)
        self.class_names = class_folders(f"folder:{directory}", ids)
        self._classes = folder_classes(ids, self.class_names)

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image by its top folder, int64 `[num_images]`; None if some image is in no class folder."""
        return None if self.class_names is None else single_labels(self._classes)

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns the class of image `index`; none for an image beside the class folders."""
        return self._classes[index]


def open_folder(directory: str, *, to_prepare: bool = False) -> FolderSource:
    """Opens the images below a directory. Files that are not images are left out; the log counts and names them.

    Raises:
        InputError: The directory cannot be read or contains no image.
    """
    spec = f"folder:{directory}"
    names, skipped = system_folders.separated(spec, list_files(directory))
    usable, rejected = image_files.find_usable_files(spec, directory, names, to_prepare=to_prepare)
    return FolderSource(directory, usable, sorted([*rejected, *skipped]))


def list_files(directory: str) -> list[str]:
    """Returns the sorted relative paths of all files below a directory, without hidden files and folders.

    The list also contains what cannot be opened, so that the log names it later: broken links, pipes, and folders that
    cannot be read.

    Raises:
        InputError: The directory cannot be read or contains no file.
    """
    try:
        found = sorted(os.path.relpath(path, directory) for path in storage.walk(directory))
    except OSError as error:
        raise InputError(
            f"folder:{directory}: the directory cannot be read ({error.strerror}); give one that you may read."
        ) from None
    if not found:
        raise InputError(f"folder:{directory}: the directory holds no file; give the directory that holds the images.")
    return found


def class_folders(spec: str, ids: Sequence[str]) -> tuple[str, ...] | None:
    """Returns the names of the classes that the paths of images imply, or None.

    The top folders are classes, unless all or several of them are named as splits are, or each of them is named as the
    numbers or hashes of its files begin; the log says so. Images beside the class folders are unlabelled; the log
    counts them.

    Args:
        spec: Data spec, for the log.
        ids: Paths of the images.
    """
    tops = sorted({name.split("/", 1)[0] for name in ids if "/" in name})
    if not tops:
        return None
    splits = [top for top in tops if top.lower() in _SPLITS]
    if splits == tops or len(splits) > 1:
        remedy = f"write {spec}@{splits[0]}" if spec.startswith("folder:") else "unpack it"
        logging.warning(
            "%s: no labels, because %s are splits and not classes; %s for one of them", spec, ", ".join(splits), remedy
        )
        return None
    if len(tops) > 1 and all(map(_is_spread, ids)):
        logging.warning(
            "%s: no labels, because each folder is named as its files begin (%s), so the folders spread the files and "
            "are not classes",
            spec,
            ids[0],
        )
        return None
    outside = [name for name in ids if "/" not in name]
    if outside:
        images = counted(len(outside), "image")
        logging.warning("%s: %s beside the class folders without a label, the first is %s", spec, images, outside[0])
    if len(tops) == 1:
        _hint_at_classes_below(spec, tops[0], ids)
    return tuple(tops)


def _is_spread(path: str) -> bool:
    stem = os.path.splitext(os.path.basename(path))[0]
    return len(stem) >= _SHORTEST_SPREAD_NAME and _SPREAD.fullmatch(path) is not None


def _hint_at_classes_below(spec: str, top: str, ids: Sequence[str]) -> None:
    """Says in the log how to take the folders below the only top folder as classes, if there are any."""
    below = sorted({name.split("/", 2)[1] for name in ids if name.count("/") > 1})
    if below:
        logging.warning(
            "%s: %s is the only class; name %s/%s for the classes %s", spec, top, spec, top, ", ".join(below)
        )


def folder_classes(ids: Sequence[str], class_names: tuple[str, ...] | None) -> list[tuple[int, ...]]:
    """Returns the class of each image by its top folder; none for an image in no class folder."""
    classes = {name: (number,) for number, name in enumerate(class_names or ())}
    return [classes.get(name.split("/", 1)[0], ()) if "/" in name else () for name in ids]
