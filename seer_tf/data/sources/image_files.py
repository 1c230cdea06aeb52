"""Sources with one file per image: the common part of `folder:`, `list:` and `csv:`."""

import os
from collections.abc import Callable, Sequence

from absl import logging

from seer_tf import parallel
from seer_tf.data.images import decode
from seer_tf.data.images.formats import UnreadableImageError
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.progress import Progress
from seer_tf.quantities import counted

#: Numbers of bytes to read until the header is complete. A file without a header in the last of them is left out.
_BEGINNINGS_BYTES = (1 << 14, 1 << 18, 1 << 22, 1 << 26)
#: Only these formats have metadata of any length before the size of the image.
_INCOMPLETE = ("broken JPEG header", "broken JPEG XL header")
_NUM_NAMED_FILES = 5


class FilesSource(Source):
    """One file per image."""

    def __init__(self, directory: str, ids: Sequence[str], rejected: Sequence[tuple[str, str]] = ()) -> None:
        """Takes the paths `ids` of the images, absolute or relative to `directory`."""
        self._directory = directory
        self.ids, self.rejected = ids, rejected

    def read(self, index: int) -> bytes:
        """Returns the bytes of file `index`."""
        try:
            return storage.read(os.path.join(self._directory, self.ids[index]))
        except OSError as error:
            raise UnreadableImageError(f"cannot be read: {error.strerror}") from None


def find_usable_files(spec: str, directory: str, names: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Separates images from other files, as `find_usable`, by paths that are absolute or relative to `directory`."""
    return find_usable(
        spec, names, lambda name, num_bytes: storage.read(os.path.join(directory, name), num_bytes=num_bytes)
    )


def find_usable(
    spec: str, names: Sequence[str], read: Callable[[str, int], bytes]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Separates images from other files by their headers. The log counts and names the files that are left out.

    The function reads every header once and decodes nothing. Images whose pixels do not decode are rejected when shards
    are prepared, and replaced during training (`replacing.py`).

    Args:
        spec: Data spec, for the log.
        names: Names of the files.
        read: Function of a name and a number of bytes; it returns the first bytes of the file, at most that number.

    Returns:
        Names of the images, in their order; name and reason for each file that is left out.

    Raises:
        InputError: None of the files is an image.
    """
    if not names:
        raise InputError(f"{spec}: there are only folders of systems and tools in it; give images.")
    reasons = []
    with Progress(len(names), "file", f"looking into {spec}") as progress:
        for reason in parallel.in_order(lambda name: _reject_reason(read, name), names, parallel.num_cores()):
            reasons.append(reason)
            progress.advance()
    usable = [name for name, reason in zip(names, reasons, strict=True) if reason is None]
    if not usable:
        raise InputError(
            f"{spec}: no readable image among {counted(len(names), 'file')} ({names[0]}: {reasons[0]}); give one with "
            "JPEG, PNG, GIF, BMP, WebP or JPEG XL files."
        )
    rejected = [(name, reason) for name, reason in zip(names, reasons, strict=True) if reason is not None]
    if rejected:
        named = "; ".join(f"{name}: {reason}" for name, reason in rejected[:_NUM_NAMED_FILES])
        more = "; ..." if len(rejected) > _NUM_NAMED_FILES else ""
        logging.warning("%s: %d of %d files left out (%s%s)", spec, len(rejected), len(names), named, more)
    return usable, rejected


def read_beginning(read: Callable[[int], bytes]) -> bytes:
    """Returns the first bytes of a file up to the size of the image: 16 KiB, or up to 64 MiB behind long metadata.

    Args:
        read: Function of a number of bytes; it returns the first bytes of the file, at most that number.

    Raises:
        OSError: The file cannot be read.
    """
    for num_bytes in _BEGINNINGS_BYTES:
        found = read(num_bytes)
        if len(found) < num_bytes or decode.header_reject_reason(found) not in _INCOMPLETE:
            break
    return found


def _reject_reason(read: Callable[[str, int], bytes], name: str) -> str | None:
    try:
        return decode.header_reject_reason(read_beginning(lambda num_bytes: read(name, num_bytes)))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
