"""`folder:DIR`: every image below a directory, whatever its name; class folders, where there are any, for labels."""

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
    """One file per image, classes by the top folders."""

    def __init__(self, directory: str, ids: Sequence[str], rejected: Sequence[tuple[str, str]] = ()) -> None:
        """`ids` are paths relative to `directory`."""
        super().__init__(directory, ids, rejected)
        self.class_names = class_folders(f"folder:{directory}", ids)

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image by its top folder, int64 `[num_images]`; None without class folders."""
        return folder_labels(self.ids, self.class_names)


def open_folder(directory: str) -> FolderSource:
    """Opens the images below `directory`; files that are no images are left out, counted and named in the log.

    Raises:
        InputError: no such directory, it cannot be read, no file in it, or no image among the files.
    """
    names = list_files(directory)
    usable, rejected = image_files.find_usable_files(f"folder:{directory}", directory, names)
    return FolderSource(directory, usable, rejected)


def list_files(directory: str) -> list[str]:
    """Returns every file below `directory`, sorted, relative to it; hidden files and folders are skipped.

    What only looks like one is named too, so that it is not left out without a word: a link that leads nowhere, a pipe,
    a folder that cannot be read.

    Raises:
        InputError: no such directory, it cannot be read, or there is no file in it.
    """
    if not storage.is_directory(directory):
        raise InputError(f"folder:{directory}: there is no such directory; give the directory that holds the images.")
    try:
        found = sorted(os.path.relpath(path, directory) for path in storage.walk(directory))
    except OSError as error:
        raise InputError(
            f"folder:{directory}: the directory cannot be read ({error.strerror}); give one that you may read."
        ) from None
    if not found:
        raise InputError(f"folder:{directory}: the directory holds no file; give the directory that holds the images.")
    return found


def class_folders(flag: str, ids: Sequence[str]) -> tuple[str, ...] | None:
    """Returns the classes that the names of images tell, or None.

    Top folders are classes when every image lies below one and there are at least two with two images each. Where there
    are several and they are none, the log says what is in the way.

    Args:
        flag: the data flag, for the log.
        ids: the names.
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
        logging.info("%s: no labels, for fewer than two top folders hold two images (%s holds one)", flag, alone)
        return None
    if outside is not None:
        logging.warning("%s: no labels, for %s lies beside the top folders; move it into one", flag, outside)
        return None
    return tuple(sorted(tops))


def folder_labels(ids: Sequence[str], class_names: tuple[str, ...] | None) -> np.ndarray | None:
    """Returns the class of each image by its top folder, int64 `[n]`; None without classes."""
    if class_names is None:
        return None
    numbers = {name: number for number, name in enumerate(class_names)}
    return np.array([numbers[pathlib.PurePath(name).parts[0]] for name in ids], np.int64)
