"""The members of a tar file: where their bytes lie, and the labels beside them.

WebDataset keeps a sample in members of one name: `0001.jpg`, its class in `0001.cls`, and more in `0001.json`. The name
ends at the first dot.
"""

import dataclasses
import json
import posixpath
import tarfile
from collections.abc import Container, Mapping
from typing import IO, Any

from seer_tf.data.images import limits
from seer_tf.data.sources import label_cell
from seer_tf.errors import InputError
from seer_tf.files import storage

_HEADER_TYPES = frozenset(
    (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
)
_PART_BYTES = 1 << 20
_CLASS, _JSON, _CAPTION = "cls", "json", "txt"
#: Larger JSON files are about the whole set and not about one image.
_MAX_LABEL_BYTES = 1 << 16

Labels = tuple[str, ...]


@dataclasses.dataclass
class Members:
    """The members of one tar file.

    Attributes:
        places: Offset and length in bytes of each regular file by name, and of each link to one.
        links: Target by name for the members that are neither regular files nor directories.
        labels: Labels in `.cls` and `.json` members, by sample and by this ending.
    """

    places: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    links: dict[str, str] = dataclasses.field(default_factory=dict)
    labels: dict[tuple[str, str], Labels] = dataclasses.field(default_factory=dict)

    def names(self) -> list[str]:
        """Returns the sorted names of all members, without hidden ones and those that only describe an image."""
        shown = [name for name in {*self.places, *self.links} if not any(map(storage.is_hidden, name.split("/")))]
        samples = {sample for sample, ending in map(_parts, shown) if ending not in (_CLASS, _JSON, _CAPTION)}
        return sorted(name for name in shown if not _is_beside(name, samples))

    def labels_of(self, name: str) -> Labels:
        """Returns the labels of an image; those in `.cls` come first, and nothing comes after them."""
        sample, _ = _parts(name)
        return self.labels.get((sample, _CLASS)) or self.labels.get((sample, _JSON), ())


def read_members(path: str) -> Members:
    """Reads the headers of a tar file and the labels in it. A link stands for the member that it leads to.

    Names that begin with `../` are kept: nothing is ever unpacked, and two members must not get the same name.

    Raises:
        InputError: The file is cut short, or a label cannot be read.
        OSError: The file cannot be read.
        tarfile.TarError, ValueError, OverflowError, RecursionError: The file is not a tar file, compressed or broken.
    """
    members = Members()
    with storage.file_to_read(path) as file, tarfile.open(fileobj=file, mode="r:", tarinfo=_Member) as archive:
        for member in archive:
            archive.members.clear()  # type: ignore[attr-defined]  # The archive would keep two kilobytes per member.
            _add(members, path, archive, member)
        file.seek(archive.offset)
        if not _is_end(file):  # `tarfile` stops silently at a header that it cannot read, except at the first.
            raise InputError(
                f"tar:{path}: the file does not end as a tar file does after its last readable member, at byte "
                f"{archive.offset}; it is cut short or broken, or several were joined; create it again."
            )
    _follow(members.links, members.places)
    return members


def _add(members: Members, path: str, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    name = posixpath.normpath(member.name)
    if member.isreg() and not member.issparse():
        members.places[name] = member.offset_data, member.size
        sample, ending = _parts(name)
        content = archive.extractfile(member)
        if ending in (_CLASS, _JSON) and member.size <= _MAX_LABEL_BYTES and content is not None:
            members.labels[sample, ending] = _labels(path, name, content.read())
    elif not member.isdir():
        folder_of_link = posixpath.dirname(name) if member.issym() else ""
        members.links[name] = posixpath.normpath(posixpath.join(folder_of_link, member.linkname))


def _follow(links: Mapping[str, str], places: dict[str, tuple[int, int]]) -> None:
    """Adds the places of the links that lead to a regular file."""
    for name in links:
        target = _target(name, links, places)
        if target is not None:
            places.setdefault(name, places[target])


def _target(name: str, links: Mapping[str, str], places: Container[str]) -> str | None:
    """Returns the regular file that a link leads to, or None."""
    for _ in range(limits.TAR_LINKS.largest):
        name = links.get(name, name)
        if name in places:
            return name
    return None


class _Member(tarfile.TarInfo):
    """A member whose long names and further headers are read only up to a limit."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _HEADER_TYPES and self.size > limits.TAR_HEADER_BYTES.largest:
            raise tarfile.ReadError(limits.TAR_HEADER_BYTES.refused(self.size))
        return super()._proc_member(archive)  # type: ignore[misc]  # `tarfile` says to override it.


def _parts(name: str) -> tuple[str, str]:
    """Returns the name of the sample, and the ending after its first dot."""
    folder, base = posixpath.split(name)
    stem, _, ending = base.partition(".")
    return posixpath.join(folder, stem), ending


def _is_beside(name: str, samples: set[str]) -> bool:
    sample, ending = _parts(name)
    return ending in (_CLASS, _JSON, _CAPTION) and sample in samples


def _labels(path: str, name: str, content: bytes) -> Labels:
    try:
        text = content.decode()
        values = json.loads(text) if name.endswith(_JSON) else {label_cell.NAMES[0]: text}
    except (ValueError, RecursionError):
        raise InputError(f"tar:{path}: {name} is not text or JSON in UTF-8; correct it or leave it out.") from None
    return tuple(dict.fromkeys(label_cell.labels_in(_value(values)))) if isinstance(values, dict) else ()


def _value(values: Mapping[str, Any]) -> Any:
    """Returns the value whose name says that it is a label."""
    named = {name.lower(): value for name, value in values.items()}
    return next((named[name] for name in label_cell.NAMES if name in named), None)


def _is_end(file: IO[bytes]) -> bool:
    """Whether the rest of the file is zeros, at least one block of them."""
    part = file.read(tarfile.BLOCKSIZE)
    is_end = len(part) == tarfile.BLOCKSIZE
    while is_end and part:
        is_end = not any(part)
        part = file.read(_PART_BYTES)
    return is_end
