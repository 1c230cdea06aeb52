"""`folder:DIR`: all images below a directory, whatever their names; class folders give labels."""

import collections
import functools
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import logging

from seer_tf.data.sources import image_files
from seer_tf.errors import InputError
from seer_tf.files import storage


class FolderSource(image_files.FilesSource):
    """One file per image; the top folders are the classes."""

    def __init__(self, directory: str, ids: Sequence[str], rejected: Sequence[tuple[str, str]] = ()) -> None:
        """Takes the paths `ids` of the images, relative to `directory`."""
        super().__init__(directory, ids, rejected)
        self.class_names = class_folders(f"folder:{directory}", ids)

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image by its top folder, int64 `[num_images]`; None without class folders."""
        return folder_labels(self.ids, self.class_names)


def open_folder(directory: str) -> FolderSource:
    """Opens the images below a directory. Files that are not images are left out; the log counts and names them.

    Raises:
        InputError: The directory cannot be read or contains no image.
    """
    names = list_files(directory)
    usable, rejected = image_files.find_usable_files(f"folder:{directory}", directory, names)
    return FolderSource(directory, usable, rejected)


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

    The top folders are classes if every image is inside one of them and at least two of them hold two images each. If
    there are several top folders that are not classes, the log says why.

    Args:
        spec: Data spec, for the log.
        ids: Paths of the images.
    """
    tops: collections.Counter[str] = collections.Counter()
    outside = None
    for name in ids:
        top, *below = pathlib.PurePath(name).parts
        if below:
            tops[top] += 1
        else:
            outside = outside or name
    if len(tops) < 2:
        return None
    if sum(count > 1 for count in tops.values()) < 2:
        alone = min(tops, key=lambda top: tops[top])
        logging.info("%s: no labels, because fewer than two top folders hold two images (%s holds one)", spec, alone)
        return None
    if outside is not None:
        logging.warning("%s: no labels, because %s lies beside the top folders; move it into one", spec, outside)
        return None
    return tuple(sorted(tops))


def folder_labels(ids: Sequence[str], class_names: tuple[str, ...] | None) -> np.ndarray | None:
    """Returns the class of each image by its top folder, int64 `[n]`; None without classes."""
    if class_names is None:
        return None
    numbers = {name: number for number, name in enumerate(class_names)}
    return np.array([numbers[pathlib.PurePath(name).parts[0]] for name in ids], np.int64)
