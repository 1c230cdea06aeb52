"""The grammar of a data spec, such as `folder:DIR`: the kind of the source, and where it lies."""

import difflib
import os
from collections.abc import Callable

from absl import logging

from seer_tf.data.sources import builtin, csv_table, folder, list_file, shards, tar
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.quantities import counted

GRAMMAR = (
    "folder:DIR[@SPLIT], tar:FILE, list:FILE, csv:FILE, shards:DIR, builtin, builtin:test or "
    "tfds:NAME[/CONFIG][:VERSION]@SPLIT; DIR alone is folder:DIR"
)
#: What functions take as data: a data spec, or a source that is open already.
Data = str | Source
_NUM_NAMED_CLASSES = 20
_OF_DIRECTORIES, _OF_FILES = ("folder", "shards"), ("tar", "list", "csv")
_KIND_OF_FILE = {".tar": "tar", ".gz": "tar", ".tgz": "tar", ".csv": "csv", ".txt": "list"}


def _open_tfds(name_at_split: str) -> Source:
    from seer_tf.data.sources import tfds  # only here: TensorFlow Datasets takes a while to import

    return tfds.open_tfds(name_at_split)


def _check_tfds(name_at_split: str) -> None:
    from seer_tf.data.sources import tfds

    tfds.find_split(name_at_split)


_OPENERS: dict[str, Callable[[str], Source]] = {
    "folder": folder.open_folder,
    "tar": tar.open_tar,
    "list": list_file.open_list,
    "csv": csv_table.open_csv,
    "shards": shards.open_shards,
    "builtin": builtin.BuiltinSource,
    "tfds": _open_tfds,
}


def open_source(spec: Data) -> Source:
    """Opens the source that a data spec names; a source is returned as it is.

    Args:
        spec: `folder:DIR`, `folder:DIR@SPLIT` (`DIR/SPLIT`), `tar:FILE`, `list:FILE` (a path on each line), `csv:FILE`
            (paths and labels), `shards:DIR`, `builtin` (its training images), `builtin:test`, or
            `tfds:NAME[/CONFIG][:VERSION]@SPLIT`. The path of a directory or file alone gets the kind that it looks
            like.

    Raises:
        InputError: The spec does not follow this grammar, or its images are missing or damaged.
    """
    if isinstance(spec, Source):
        return spec
    check_source(spec)
    kind, place = _parsed(spec)
    source = _OPENERS[kind](place)
    _say_classes(spec, source)
    return source


def _say_classes(spec: str, source: Source) -> None:
    """Names the classes in the log: a folder that is none is seen there."""
    if source.class_names is not None:
        names = ", ".join(source.class_names[:_NUM_NAMED_CLASSES])
        more = ", ..." if len(source.class_names) > _NUM_NAMED_CLASSES else ""
        logging.info("%s: %s: %s%s", spec, counted(len(source.class_names), "class"), names, more)


def check_source(spec: Data) -> None:
    """Checks that what a data spec names exists, without reading it. A source exists.

    Args:
        spec: As for `open_source`.

    Raises:
        InputError: The spec does not follow the grammar, or nothing or something else lies there.
    """
    if isinstance(spec, Source):
        return
    kind, place = _parsed(spec)
    if kind == "tfds":
        _check_tfds(place)
    if kind not in _OF_DIRECTORIES + _OF_FILES:
        return
    wanted, other = ("directory", "file") if kind in _OF_DIRECTORIES else ("file", "directory")
    if not storage.exists(place):
        raise InputError(f"{spec}: there is no such {wanted}; correct the path.")
    if storage.is_directory(place) != (wanted == "directory"):
        raise InputError(f"{spec}: {place} is a {other}; did you mean {_kind_of(place)}:{place}?")


def name_of(data: Data) -> str:
    """Returns how results call data: by their spec, or by the identity of a source, e.g. `200 images, 3f2a9c…`."""
    return data if isinstance(data, str) else data.identity(with_classes=True)


def absolute(spec: str) -> str:
    """Returns a data spec that means the same in every working directory: with its kind and an absolute path.

    Args:
        spec: As for `open_source`, except that nothing needs to lie there. What does not follow the grammar is returned
            unchanged.
    """
    try:
        kind, place = _parsed(spec)
    except InputError:
        return spec
    if kind not in _OF_DIRECTORIES + _OF_FILES or storage.is_remote(place):
        return spec
    return f"{kind}:{os.path.abspath(place)}"


def _parsed(spec: str) -> tuple[str, str]:
    """Returns the kind and the place of a data spec. A path alone gets the kind that it looks like."""
    kind, _, place = ("builtin:train" if spec in ("builtin", "builtin:") else spec).partition(":")
    if kind in _OPENERS and place and (kind != "builtin" or place in builtin.SPLITS):
        return kind, _split_folder(place) if kind == "folder" else place
    if spec and storage.exists(spec):
        return _kind_of(spec), spec
    if _split_folder(spec) != spec:
        return "folder", _split_folder(spec)
    near = difflib.get_close_matches(kind, _OPENERS, n=1) if place else []
    hint = f"did you mean {near[0]}:{place}? " if near and near[0] != kind else ""
    raise InputError(f"data {spec!r} is not understood, and there is no such file or directory: {hint}write {GRAMMAR}.")


def _split_folder(place: str) -> str:
    """Returns `DIR/SPLIT` for `DIR@SPLIT`, and any other place unchanged.

    Raises:
        InputError: There is no such split.
    """
    directory, _, split = place.rpartition("@")
    if not directory or not split or "/" in split or storage.exists(place) or not storage.is_directory(directory):
        return place
    path = os.path.join(directory, split)
    if not storage.is_directory(path):
        folders = [name for name in storage.names(directory) if storage.is_directory(os.path.join(directory, name))]
        raise InputError(f"folder:{place}: there is no folder {split} in it; it has {', '.join(folders) or 'none'}.")
    return path


def _kind_of(path: str) -> str:
    """Returns the kind that an existing file or directory looks like.

    Raises:
        InputError: It is a file of no kind that is known.
    """
    if storage.is_directory(path):
        has_shards = all(storage.exists(os.path.join(path, name)) for name in (shards.MANIFEST, shards.INDEX))
        return "shards" if has_shards else "folder"
    ending = os.path.splitext(path)[1].lower()
    if ending not in _KIND_OF_FILE:
        raise InputError(
            f"{path} is a file, and its name does not say of which kind: put tar:, list: or csv: before it, or name "
            f"the directory of the images, folder:{os.path.dirname(path) or '.'}"
        )
    return _KIND_OF_FILE[ending]
