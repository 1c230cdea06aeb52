"""`tar:FILE`: the images in a tar file, read without unpacking it; top folders are classes, as in `folder:DIR`."""

import errno
import functools
import posixpath
import tarfile
from typing import IO

import numpy as np

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources import folder, image_files, system_folders
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import storage

_MAX_LINKS = 40  # the limit of Linux
_PART_BYTES = 1 << 20


class TarSource(Source):
    """Members of a tar file by number; `read` knows where the bytes of each begin."""

    def __init__(
        self, path: str, places: dict[str, tuple[int, int]], ids: list[str], rejected: list[tuple[str, str]]
    ) -> None:
        """Takes the members that are images.

        Args:
            path: Tar file.
            places: Offset and length in bytes of each member.
            ids: Names of the members that are images.
            rejected: Name and reason for each member that was left out.
        """
        self._path = path
        self.ids, self.rejected = ids, rejected
        self.class_names = folder.class_folders(f"tar:{path}", ids)
        self._places = np.array([places[name] for name in ids], np.int64)

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image by its top folder, int64 `[num_images]`; None without class folders."""
        return folder.folder_labels(self.ids, self.class_names)

    def read(self, index: int) -> bytes:
        """Returns the bytes of member `index`."""
        offset, length = (int(number) for number in self._places[index])
        try:
            encoded = storage.read(self._path, offset, length)
        except OSError as error:
            raise InputError(f"tar:{self._path}: the file cannot be read ({error.strerror}); put it back.") from None
        if len(encoded) != length:
            raise UnusableImageError("the tar file ends early")
        return encoded


def open_tar(path: str, *, to_prepare: bool = False) -> TarSource:
    """Opens the images in an uncompressed tar file; a link stands for the member that it leads to.

    Raises:
        InputError: The file is missing, compressed, broken, cut short or joined from several, or contains no image.
    """
    if storage.is_remote(path):
        raise InputError(f"tar:{path}: a tar file is read from this machine only; copy it here, or make shards of it.")
    try:
        names, places = _members(path)
    except OSError as error:
        raise InputError(f"tar:{path}: the file cannot be read ({error.strerror}); give a tar file.") from None
    except tarfile.TarError:
        raise InputError(
            f"tar:{path}: this is not a tar file, or a compressed or broken one; unpack it first."
        ) from None
    if not names:
        raise InputError(f"tar:{path}: there is no file in it; give a tar file with images.")

    def read(name: str, num_bytes: int) -> bytes:
        if name not in places:
            raise OSError(errno.EINVAL, "not a regular file, and no link to one in the tar file")
        offset, length = places[name]
        return storage.read(path, offset, min(num_bytes, length))

    names, skipped = system_folders.separated(f"tar:{path}", names)
    usable, rejected = image_files.find_usable(f"tar:{path}", names, read, to_prepare=to_prepare)
    return TarSource(path, places, usable, sorted([*rejected, *skipped]))


def _members(path: str) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """Returns the sorted names of all members, without folders and hidden files, and the places of regular files.

    Names that begin with `../` are kept: nothing is ever unpacked, and two members must not get the same name.

    Returns:
        Names; offset and length in bytes by name.
    """
    places: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            archive.members.clear()  # type: ignore[attr-defined]  # The archive would keep two kilobytes per member.
            name = posixpath.normpath(member.name)
            if member.isreg() and not member.issparse():
                places[name] = member.offset_data, member.size
            elif not member.isdir():
                folder_of_link = posixpath.dirname(name) if member.issym() else ""
                links[name] = posixpath.normpath(posixpath.join(folder_of_link, member.linkname))
        file.seek(archive.offset)
        if not _is_end(file):  # `tarfile` stops silently at a header that it cannot read, except at the first.
            raise InputError(
                f"tar:{path}: the file does not end as a tar file does after its last readable member, at byte "
                f"{archive.offset}; it is cut short or broken, or several were joined; create it again."
            )
    for name, target in links.items():
        for _ in range(_MAX_LINKS):
            target = target if target in places else links.get(target, target)
        if target in places:
            places.setdefault(name, places[target])
    names = sorted({*places, *links})
    return [name for name in names if not any(map(storage.is_hidden, name.split("/")))], places


def _is_end(file: IO[bytes]) -> bool:
    """Whether the rest of the file is zeros, at least one block of them."""
    part = file.read(tarfile.BLOCKSIZE)
    is_end = len(part) == tarfile.BLOCKSIZE
    while is_end and part:
        is_end = not any(part)
        part = file.read(_PART_BYTES)
    return is_end
