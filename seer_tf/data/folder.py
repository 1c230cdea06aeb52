"""`folder:DIR`: every image below a directory, whatever its name; class folders, where there are any, for labels."""

import collections
import concurrent.futures
import functools
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import logging

from seer_tf.data import decode
from seer_tf.data.source import Source
from seer_tf.errors import InputError
from seer_tf.progress import Progress

_HEADER_BYTES = 1 << 18
_NUM_NAMED_FILES = 5


class FolderSource(Source):
    """One file per image."""

    def __init__(self, directory: str, ids: Sequence[str], rejected: Sequence[tuple[str, str]] = ()) -> None:
        """`ids` are paths relative to `directory`."""
        self._directory = directory
        self.ids, self.rejected = ids, rejected
        self.class_names = _class_names(ids)

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image by its top folder, int64 `[num_images]`; None without class folders."""
        if self.class_names is None:
            return None
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers[pathlib.PurePath(name).parts[0]] for name in self.ids], np.int64)

    def read(self, index: int) -> bytes:
        """Returns the bytes of file `index`."""
        with open(os.path.join(self._directory, self.ids[index]), "rb") as file:
            return file.read()


def list_files(directory: str) -> list[str]:
    """Returns every regular file below `directory`, sorted, relative to it; hidden files and folders are skipped.

    Raises:
        InputError: no such directory, or no file in it.
    """
    if not os.path.isdir(directory):
        raise InputError(f"folder:{directory}: there is no such directory; give the directory that holds the images.")
    files, seen = [], set()
    for parent, folders, names in os.walk(directory, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # A link to a folder above would lead round for ever.
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        paths = (os.path.join(parent, name) for name in names if not name.startswith("."))
        files += [os.path.relpath(path, directory) for path in paths if os.path.isfile(path)]
    if not files:
        raise InputError(f"folder:{directory}: the directory holds no file; give the directory that holds the images.")
    return sorted(files)


def open_folder(directory: str) -> FolderSource:
    """Opens the images below `directory`; files that are no images are left out, counted and named in the log.

    Every header is read once. Whether the pixels decode is not tried here: `prepare_shards` does that.

    Raises:
        InputError: no such directory, no file in it, or no image among the files.
    """
    files = list_files(directory)
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        Progress(len(files), "file", f"looking into {directory}") as progress,
    ):
        reasons = []
        for reason in pool.map(lambda name: _reject_reason(os.path.join(directory, name)), files):
            reasons.append(reason)
            progress.advance()
    images = [name for name, reason in zip(files, reasons, strict=True) if reason is None]
    if not images:
        raise InputError(
            f"folder:{directory}: none of its {len(files)} files is a readable image "
            f"({files[0]}: {reasons[0]}); give a directory with JPEG, PNG, GIF, BMP or WebP files."
        )
    rejected = [(name, reason) for name, reason in zip(files, reasons, strict=True) if reason is not None]
    if rejected:
        named = "; ".join(f"{name}: {reason}" for name, reason in rejected[:_NUM_NAMED_FILES])
        more = "; ..." if len(rejected) > _NUM_NAMED_FILES else ""
        logging.warning("folder:%s: %d of %d files left out (%s%s)", directory, len(rejected), len(files), named, more)
    return FolderSource(directory, images, rejected)


def _reject_reason(path: str) -> str | None:
    """Judges a file by its beginning, and by all of it when metadata push the frame header of a JPEG beyond."""
    try:
        with open(path, "rb") as file:
            beginning = file.read(_HEADER_BYTES)
            reason = decode.header_reject_reason(beginning)
            if reason is None or len(beginning) < _HEADER_BYTES:
                return reason
            return decode.header_reject_reason(beginning + file.read())
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _class_names(ids: Sequence[str]) -> tuple[str, ...] | None:
    """Top folders are classes when every image lies below one and there are at least two with two images each."""
    tops = collections.Counter(path.parts[0] if len(path.parts) > 1 else "" for path in map(pathlib.PurePath, ids))
    if len(tops) < 2 or "" in tops or min(tops.values()) < 2:
        return None
    return tuple(sorted(tops))
