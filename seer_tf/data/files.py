"""Images that are files of their own, which is what `folder:`, `list:` and `csv:` have in common."""

import concurrent.futures
import os
from collections.abc import Callable, Sequence

from absl import logging

from seer_tf.data import decode, storage
from seer_tf.data.formats import UnreadableImageError
from seer_tf.data.source import Source
from seer_tf.errors import InputError
from seer_tf.progress import Progress

_HEADER_BYTES = 1 << 18
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


def find_usable(
    flag: str, names: Sequence[str], read: Callable[[str, int], bytes]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Tells images from what is none by their headers; what is left out is counted and named in the log.

    Every header is read once. Whether the pixels decode is not tried here: `prepare_shards` does that, and a run
    replaces what does not (`replacing.py`).

    Args:
        flag: the data flag, for the log.
        names: what there is.
        read: gives the first bytes of a name, as many as its second argument says, or all for -1.

    Returns:
        The names of the images, in their order; name and reason of what is left out.

    Raises:
        InputError: none of them is an image.
    """
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        Progress(len(names), "file", f"looking into {flag}") as progress,
    ):
        reasons = []
        for reason in pool.map(lambda name: _reject_reason(lambda num_bytes: read(name, num_bytes)), names):
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


def _reject_reason(read: Callable[[int], bytes]) -> str | None:
    """Judges a file by its beginning, and by all of it when metadata push the frame header of a JPEG beyond."""
    try:
        beginning = read(_HEADER_BYTES)
        reason = decode.header_reject_reason(beginning)
        if reason is None or len(beginning) < _HEADER_BYTES:
            return reason
        return decode.header_reject_reason(read(-1))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
