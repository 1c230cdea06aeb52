"""Images that are files of their own, which is what `folder:`, `list:` and `csv:` have in common."""

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

#: How much of a file is read until its header is complete; what has none in the last of these is refused.
_BEGINNINGS_BYTES = (1 << 14, 1 << 18, 1 << 22, 1 << 26)
#: Only these have metadata of any length before their size.
_INCOMPLETE = ("broken JPEG header", "broken JPEG XL header")
_NUM_NAMED_FILES = 5


class FilesSource(Source):
    """One file per image."""

    def __init__(self, directory: str, ids: Sequence[str], rejected: Sequence[tuple[str, str]] = ()) -> None:
        """`ids` are paths, relative to `directory` where they are not absolute."""
        self._directory = directory
        self.ids, self.rejected = ids, rejected

    def read(self, index: int) -> bytes:
        """Returns the bytes of file `index`."""
        try:
            return storage.read(os.path.join(self._directory, self.ids[index]))
        except OSError as error:
            raise UnreadableImageError(f"cannot be read: {error.strerror}") from None


def find_usable_files(flag: str, directory: str, names: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """As `find_usable`, of files by their paths, relative to `directory` where they are not absolute."""
    return find_usable(
        flag, names, lambda name, num_bytes: storage.read(os.path.join(directory, name), num_bytes=num_bytes)
    )


def find_usable(
    flag: str, names: Sequence[str], read: Callable[[str, int], bytes]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Tells images from what is none by their headers; what is left out is counted and named in the log.

    Every header is read once. Whether the pixels decode is not tried here: `prepare_shards` does that, and a run
    replaces what does not (`replacing.py`).

    Args:
        flag: the data flag, for the log.
        names: what there is.
        read: gives the first bytes of a name, as many as its second argument says.

    Returns:
        The names of the images, in their order; name and reason of what is left out.

    Raises:
        InputError: none of them is an image.
    """
    reasons = []
    with Progress(len(names), "file", f"looking into {flag}") as progress:
        for reason in parallel.in_order(lambda name: _reject_reason(read, name), names, parallel.num_cores()):
            reasons.append(reason)
            progress.advance()
    usable = [name for name, reason in zip(names, reasons, strict=True) if reason is None]
    if not usable:
        raise InputError(
            f"{flag}: none of its {len(names)} files is a readable image ({names[0]}: {reasons[0]}); give one with "
            "JPEG, PNG, GIF, BMP, WebP or JPEG XL files."
        )
    rejected = [(name, reason) for name, reason in zip(names, reasons, strict=True) if reason is not None]
    if rejected:
        named = "; ".join(f"{name}: {reason}" for name, reason in rejected[:_NUM_NAMED_FILES])
        more = "; ..." if len(rejected) > _NUM_NAMED_FILES else ""
        logging.warning("%s: %d of %d files left out (%s%s)", flag, len(rejected), len(names), named, more)
    return usable, rejected


def beginning(read: Callable[[int], bytes]) -> bytes:
    """Returns as much of a file as tells its size: 16 KiB, and more only where metadata push it beyond, up to 64 MiB.

    Args:
        read: gives the first bytes of the file, as many as its argument says.

    Raises:
        OSError: as `read`.
    """
    for num_bytes in _BEGINNINGS_BYTES:
        found = read(num_bytes)
        if len(found) < num_bytes or decode.header_reject_reason(found) not in _INCOMPLETE:
            break
    return found


def _reject_reason(read: Callable[[str, int], bytes], name: str) -> str | None:
    try:
        return decode.header_reject_reason(beginning(lambda num_bytes: read(name, num_bytes)))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
