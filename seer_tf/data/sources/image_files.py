"""Sources with one file per image: the common part of `folder:`, `list:` and `csv:`."""

import collections
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from absl import logging

from seer_tf import parallel
from seer_tf.data.images import acceptance, conversion, formats, limits, profiles
from seer_tf.data.images.formats import UnreadableImageError, UnusableImageError
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
_REMEDY = "make shards of the images (prepare_shards)"


class FilesSource(Source):
    """One file per image."""

    def __init__(self, directory: str, ids: Sequence[str], rejected: Sequence[tuple[str, str]] = ()) -> None:
        """Takes the paths `ids` of the images: URLs, absolute, or relative to `directory`."""
        self._directory = directory
        self.ids, self.rejected = ids, rejected

    def read(self, index: int) -> bytes:
        """Returns the bytes of file `index`."""
        try:
            return storage.read(storage.join(self._directory, self.ids[index]))
        except OSError as error:
            raise UnreadableImageError(f"cannot be read: {error.strerror}") from None


def find_usable_files(
    spec: str, directory: str, names: Sequence[str], *, to_prepare: bool = False
) -> tuple[list[str], list[tuple[str, str]]]:
    """Separates images from other files, as `find_usable`. Names may be relative to `directory`, or URLs."""

    def read(name: str, num_bytes: int) -> bytes:
        path = storage.join(directory, name)
        check_num_bytes(storage.size(path))
        return storage.read(path, num_bytes=num_bytes)

    return find_usable(spec, names, read, to_prepare=to_prepare)


def check_num_bytes(num_bytes: int) -> None:
    """Raises an `UnusableImageError` if a file is too large to be an image; nothing of it needs to be read."""
    if num_bytes > limits.ENCODED_BYTES.largest:
        raise UnusableImageError(limits.ENCODED_BYTES.refused(num_bytes))


def find_usable(
    spec: str, names: Sequence[str], read: Callable[[str, int], bytes], *, to_prepare: bool = False
) -> tuple[list[str], list[tuple[str, str]]]:
    """Separates images from other files by their headers. The log counts and names the files that are left out.

    The function reads every header once and decodes nothing. Images whose pixels do not decode are rejected when shards
    are prepared, and replaced during training (`replacing.py`).

    Args:
        spec: Data spec, for the log.
        names: Names of the files.
        read: Function of a name and a number of bytes; it returns the first bytes of the file, at most that number.
        to_prepare: Whether shards are made of the images, so that images that only `conversion.py` can read count too.

    Returns:
        Names of the images, in their order; name and reason for each file that is left out.

    Raises:
        InputError: None of the files is an image.
    """
    if not names:
        raise InputError(f"{spec}: there are only folders of systems and tools in it; give images.")
    looks = []
    with Progress(len(names), "file", f"looking into {spec}") as progress:
        for look in parallel.in_order(functools.partial(_look, read, to_prepare), names, parallel.num_cores()):
            looks.append(look)
            progress.advance()
    usable = [name for name, look in zip(names, looks, strict=True) if look.reason is None]
    num_convertible = sum(look.is_convertible for look in looks)
    if not usable:
        remedy = _REMEDY if num_convertible else f"give one with {', '.join(formats.FORMATS)} files"
        raise InputError(
            f"{spec}: no readable image among {counted(len(names), 'file')} ({names[0]}: {looks[0].reason}); {remedy}."
        )
    rejected = [(name, look.reason) for name, look in zip(names, looks, strict=True) if look.reason is not None]
    if rejected:
        named = "; ".join(f"{name}: {reason}" for name, reason in rejected[:_NUM_NAMED_FILES])
        more = "; ..." if len(rejected) > _NUM_NAMED_FILES else ""
        remedy = f"; {_REMEDY}, which reads {num_convertible} of these" if num_convertible else ""
        logging.warning("%s: %d of %d files left out (%s%s)%s", spec, len(rejected), len(names), named, more, remedy)
    _say_profiles(spec, {name: look.profile for name, look in zip(names, looks, strict=True) if look.profile})
    return usable, rejected


def _say_profiles(spec: str, profile_of: Mapping[str, str]) -> None:
    """Logs the number of images whose colours differ from the intended ones, and a remedy."""
    if profile_of:
        kinds = collections.Counter(profile_of.values()).most_common(_NUM_NAMED_FILES)
        images, named = counted(len(profile_of), "image"), ", ".join(f"{kind} {number}" for kind, number in kinds)
        logging.warning("%s: the colour profiles of %s are not applied (%s); %s", spec, images, named, _REMEDY)


def read_beginning(read: Callable[[int], bytes]) -> bytes:
    """Returns the first bytes of a file up to the size of the image: 16 KiB, or up to 64 MiB behind long metadata.

    Args:
        read: Function of a number of bytes; it returns the first bytes of the file, at most that number.

    Raises:
        OSError: The file cannot be read.
        UnusableImageError: The file is too large.
    """
    for num_bytes in _BEGINNINGS_BYTES:
        found = read(num_bytes)
        if len(found) < num_bytes or acceptance.header_reject_reason(found) not in _INCOMPLETE:
            break
    return found


class _Look(NamedTuple):
    """What the beginning of a file shows.

    Attributes:
        reason: Why the file is left out, or None.
        is_convertible: Whether it is left out although shards could be made of it.
        profile: Name of a colour profile that will be ignored, or None.
    """

    reason: str | None
    is_convertible: bool = False
    profile: str | None = None


def _look(read: Callable[[str, int], bytes], to_prepare: bool, name: str) -> _Look:
    try:
        beginning = read_beginning(lambda num_bytes: read(name, num_bytes))
    except OSError as error:
        return _Look(f"cannot be read: {error.strerror}")
    except UnusableImageError as error:
        return _Look(str(error))
    reason = acceptance.header_reject_reason(beginning)
    if reason is not None:
        is_convertible = conversion.can_read(beginning)
        return _Look(None) if is_convertible and to_prepare else _Look(reason, is_convertible)
    return _Look(None, profile=None if to_prepare else _ignored_profile(beginning))


def _ignored_profile(beginning: bytes) -> str | None:
    """Returns the name of a profile that changes the colours of a file, which nothing applies without shards."""
    profile = profiles.embedded(beginning)
    if profile is None:
        return profiles.unread(beginning)
    return profiles.name(profile) if profiles.changes_colours(profile) else None
