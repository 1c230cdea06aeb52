"""`tar:FILE`: the images in a tar file, read in place; its top folders are classes as those of `folder:DIR` are."""

import functools
import tarfile

import numpy as np

from seer_tf.data import files, folder, storage
from seer_tf.data.formats import UnusableImageError
from seer_tf.data.source import Source
from seer_tf.errors import InputError


class TarSource(Source):
    """Members by number, by where their bytes begin."""

    def __init__(
        self, path: str, places: dict[str, tuple[int, int]], ids: list[str], rejected: list[tuple[str, str]]
    ) -> None:
        """`places` are offset and length in bytes of each member, `ids` the members that are images."""
        self._path = path
        self.ids, self.rejected = ids, rejected
        self.class_names = folder.class_folders(ids)
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


def open_tar(path: str) -> TarSource:
    """Opens the images in a tar file that is not compressed.

    Raises:
        InputError: no such file, it is compressed or broken, or holds no image.
    """
    if storage.is_remote(path):
        raise InputError(f"tar:{path}: a tar file is read from this machine only; copy it here, or make shards of it.")
    try:
        with tarfile.open(path, "r:") as archive:
            members = [member for member in archive if member.isreg() and not _is_hidden(member.name)]
    except OSError as error:
        raise InputError(f"tar:{path}: the file cannot be read ({error.strerror}); give a tar file.") from None
    except tarfile.TarError:
        raise InputError(f"tar:{path}: this is no tar file, or a compressed or broken one; unpack it first.") from None
    places = {member.name.removeprefix("./"): (member.offset_data, member.size) for member in members}
    if not places:
        raise InputError(f"tar:{path}: there is no file in it; give a tar file with images.")

    def read(name: str, num_bytes: int) -> bytes:
        offset, length = places[name]
        return storage.read(path, offset, min(num_bytes, length))

    usable, rejected = files.find_usable(f"tar:{path}", sorted(places), read)
    return TarSource(path, places, usable, rejected)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.removeprefix("./").split("/"))
