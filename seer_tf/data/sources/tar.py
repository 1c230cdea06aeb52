"""`tar:FILE`: the images in tar files, read without unpacking them.

`tar:DIR/{0000..0099}.tar` and `tar:DIR/*.tar` name several files. The labels are those of WebDataset (`tar_members.py`)
if there are any, and otherwise the top folders, as in `folder:DIR`.
"""

import errno
import functools
import itertools
import os
import tarfile
from collections.abc import Sequence

import numpy as np
from absl import logging

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources import folder, image_files, system_folders
from seer_tf.data.sources.base import Source, single_labels
from seer_tf.data.sources.tar_members import Labels, Members, read_members
from seer_tf.errors import InputError
from seer_tf.files import patterns, storage
from seer_tf.quantities import counted


class TarSource(Source):
    """Members of tar files by number; `read` knows where the bytes of each begin."""

    def __init__(
        self,
        files: Sequence[str],
        places: np.ndarray,
        ids: Sequence[str],
        rejected: Sequence[tuple[str, str]],
        class_names: tuple[str, ...] | None,
        classes: Sequence[tuple[int, ...]],
    ) -> None:
        """Takes the members that are images.

        Args:
            files: Paths of the tar files.
            places: Number of the file, offset and length in bytes of each image, int64 `[num_images, 3]`.
            ids: Names of the images.
            rejected: Name and reason for each member that was left out.
            class_names: Names of the classes; None without classes.
            classes: Classes of each image.
        """
        self._files, self._places, self._classes = files, places, classes
        self.ids, self.rejected, self.class_names = ids, rejected, class_names

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None unless each image has exactly one."""
        return None if self.class_names is None else single_labels(self._classes)

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns all classes of image `index`: none, one or several."""
        return self._classes[index]

    def read(self, index: int) -> bytes:
        """Returns the bytes of member `index`."""
        number, offset, length = (int(value) for value in self._places[index])
        path = self._files[number]
        try:
            encoded = storage.read(path, offset, length)
        except OSError as error:
            raise InputError(f"tar:{path}: the file cannot be read ({error.strerror}); put it back.") from None
        if len(encoded) != length:
            raise UnusableImageError("the tar file ends early")
        return encoded


def files_of(place: str) -> Sequence[str]:
    """Returns the paths of the tar files that a path, or a pattern with braces and wildcards, stands for.

    Raises:
        InputError: No file matches the pattern.
    """
    files = patterns.paths_of(place)
    if not files:
        raise InputError(f"tar:{place}: no file matches this pattern; correct it.")
    return files


def open_tar(place: str, *, to_prepare: bool = False) -> TarSource:
    """Opens the images in uncompressed tar files; a link stands for the member that it leads to.

    Raises:
        InputError: A file is missing, compressed, broken, cut short or joined from several, or no file holds an image.
    """
    spec, files = f"tar:{place}", files_of(place)
    prefixes = _prefixes(files)
    archives = [_read(file) for file in files]
    found = {
        prefix + name: (number, name)
        for number, (prefix, archive) in enumerate(zip(prefixes, archives, strict=True))
        for name in archive.names()
    }
    if not found:
        raise InputError(f"{spec}: there is no file in it; give a tar file with images.")

    def read(whole: str, num_bytes: int) -> bytes:
        number, name = found[whole]
        if name not in archives[number].places:
            raise OSError(errno.EINVAL, "not a regular file, and no link to one in the tar file")
        offset, length = archives[number].places[name]
        image_files.check_num_bytes(length)
        return storage.read(files[number], offset, min(num_bytes, length))

    names, skipped = system_folders.separated(spec, list(found))
    usable, rejected = image_files.find_usable(spec, names, read, to_prepare=to_prepare)
    members = [found[whole] for whole in usable]
    places = np.array([(number, *archives[number].places[name]) for number, name in members], np.int64)
    class_names, classes = _classes(spec, archives, members)
    return TarSource(files, places, usable, sorted([*rejected, *skipped]), class_names, classes)


def _prefixes(files: Sequence[str]) -> list[str]:
    """Returns what precedes the names of members, so that no two files hold the same name; nothing for one file."""
    top = os.path.commonpath([os.path.dirname(file) or "." for file in files]) if len(files) > 1 else ""
    return [f"{os.path.relpath(file, top)}/" for file in files] if len(files) > 1 else [""]


def _read(path: str) -> Members:
    try:
        return read_members(path)
    except OSError as error:
        raise InputError(f"tar:{path}: the file cannot be read ({error.strerror}); give a tar file.") from None
    except InputError:
        raise
    except (tarfile.TarError, ValueError, OverflowError, RecursionError):
        raise InputError(
            f"tar:{path}: this is not a tar file, or a compressed or broken one; unpack it first."
        ) from None


def _classes(
    spec: str, archives: Sequence[Members], members: Sequence[tuple[int, str]]
) -> tuple[tuple[str, ...] | None, Sequence[tuple[int, ...]]]:
    """Returns the names of the classes, and the classes of each image: WebDataset's, else by folders, else none."""
    labels: list[Labels] = [archives[number].labels_of(name) for number, name in members]
    if not any(labels):
        names = [name for _, name in members]
        class_names = folder.class_folders(spec, names)
        return class_names, folder.folder_classes(names, class_names)
    without = sum(not of_image for of_image in labels)
    if without:
        logging.warning("%s: %s without a label", spec, counted(without, "image"))
    known = set(itertools.chain.from_iterable(labels))
    class_names = tuple(sorted(known, key=int if all(map(str.isdecimal, known)) else None))
    numbers = {name: number for number, name in enumerate(class_names)}
    return class_names, [tuple(sorted(numbers[label] for label in of_image)) for of_image in labels]
