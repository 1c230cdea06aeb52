"""The grammar of a data spec, such as `folder:DIR`: the kind of the source, and where it lies."""

import dataclasses
import difflib
import os
from collections.abc import Callable, Collection, Sequence

from absl import logging

from seer_tf.data.sources import builtin, csv_table, folder, list_file, shards, tar, voc
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import remote, storage
from seer_tf.quantities import counted
from seer_tf.registry import Registry

#: What functions take as data: a data spec, or a source that is open already.
Data = str | Source
_NUM_NAMED_CLASSES = 20


def _nothing_to_check(place: str) -> None:
    """Passes every place."""


def _as_it_is(place: str) -> str:
    """Returns a place unchanged."""
    return place


def _alone(path: str) -> Sequence[str]:
    """Returns a path as the only one."""
    return (path,)


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


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of source. A spec is its name, a colon and a place.

    Attributes:
        name: Name before the colon.
        forms: How specs of this kind are written, for help and messages.
        open: Takes the place; returns the source. If the kind `converts`, it takes the keyword `to_prepare` too.
        path_to: "directory" or "file" if the place begins with a path to one, else "".
        path_of: Returns the path that a place begins with, without what follows.
        files_of: Returns the paths that a path stands for, where it may be a pattern.
        endings: Endings of the files that look like this kind.
        default_place: Place of a spec that is the name alone; "" if there must be one.
        accepts: Tells whether a place follows the grammar.
        resolved: Returns the place that a place stands for, e.g. `DIR/SPLIT` for `DIR@SPLIT`.
        converts: Whether, for shards, the source can have the images that only `images/conversion.py` reads.
        has_known_classes: Whether the log named the classes before, or this package defines them.
        check: Raises an `InputError` if nothing lies at the place; reads as little as it can.
    """

    name: str
    forms: tuple[str, ...]
    open: Callable[..., Source]
    path_to: str = ""
    path_of: Callable[[str], str] = _as_it_is
    files_of: Callable[[str], Sequence[str]] = _alone
    endings: Collection[str] = ()
    default_place: str = ""
    accepts: Callable[[str], bool] = bool
    resolved: Callable[[str], str] = _as_it_is
    converts: bool = False
    has_known_classes: bool = False
    check: Callable[[str], None] = _nothing_to_check


def _open_tfds(name_at_split: str) -> Source:
    from seer_tf.data.sources import tfds  # only here: TensorFlow Datasets takes a while to import

    return tfds.open_tfds(name_at_split)


def _check_voc(directory_at_split: str) -> None:
    voc.find_lists(directory_at_split)


def _check_tfds(name_at_split: str) -> None:
    from seer_tf.data.sources import tfds

    tfds.find_split(name_at_split)


_OF_THIS_PACKAGE = (
    Kind(
        "folder",
        ("folder:DIR[@SPLIT]",),
        folder.open_folder,
        path_to="directory",
        resolved=_split_folder,
        converts=True,
    ),
    Kind(
        "tar",
        ("tar:FILE",),
        tar.open_tar,
        path_to="file",
        files_of=tar.files_of,
        endings=(".tar", ".gz", ".tgz"),
        converts=True,
    ),
    Kind(
        "list",
        ("list:FILE",),
        list_file.open_list,
        path_to="file",
        endings=(".txt",),
        converts=True,
    ),
    Kind(
        "csv",
        ("csv:FILE[?label_column=NAME]",),
        csv_table.open_csv,
        path_to="file",
        path_of=csv_table.path_of,
        endings=(".csv", ".tsv", ".parquet", ".jsonl"),
        converts=True,
    ),
    Kind(
        "shards",
        ("shards:DIR",),
        shards.open_shards,
        path_to="directory",
        files_of=shards.directories_of,
        has_known_classes=True,
        check=shards.check_shards,
    ),
    Kind(
        "builtin",
        ("builtin", "builtin:test"),
        builtin.BuiltinSource,
        default_place="train",
        accepts=builtin.SPLITS.__contains__,
        has_known_classes=True,
    ),
    Kind("voc", ("voc:DIR@SPLIT",), voc.open_voc, path_to="directory", path_of=voc.directory_of, check=_check_voc),
    Kind("tfds", ("tfds:NAME[/CONFIG][:VERSION]@SPLIT",), _open_tfds, check=_check_tfds),
)
_KINDS = Registry("kind of source", {kind.name: kind for kind in _OF_THIS_PACKAGE})


def register(kind: Kind) -> None:
    """Adds a kind of source, so that data specs can name it.

    Raises:
        ValueError: There is a kind of that name.
    """
    _KINDS.register(kind.name, kind)


def grammar() -> str:
    """Returns how a data spec is written, for help and messages."""
    *forms, last = (form for kind in _KINDS.values() for form in kind.forms)
    return f"{', '.join(forms)} or {last}; DIR alone is folder:DIR"


def open_source(spec: Data, *, to_prepare: bool = False) -> Source:
    """Opens the source that a data spec names; a source is returned as it is.

    Args:
        spec: `folder:DIR`, `folder:DIR@SPLIT` (`DIR/SPLIT`), `tar:FILE` (or a pattern such as
            `tar:DIR/*.tar`), `list:FILE` (a path on each line), `csv:FILE` or `csv:FILE?label_column=NAME` (paths and
            labels), `shards:DIR` (or a pattern), `builtin` (its training images), `builtin:test`, `voc:DIR@SPLIT`, or
            `tfds:NAME[/CONFIG][:VERSION]@SPLIT`. The path of a directory or file alone gets the kind that it looks
            like.
        to_prepare: Whether shards are made of the images, so that those that `images/conversion.py` can read count too.

    Raises:
        InputError: The spec does not follow this grammar, or its images are missing or damaged.
    """
    if isinstance(spec, Source):
        return spec
    check_source(spec)
    kind, place = _parsed(spec)
    source = kind.open(place, to_prepare=to_prepare) if kind.converts else kind.open(place)
    if not kind.has_known_classes:
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
    if kind.path_to:
        _check_path(spec, kind, kind.files_of(kind.path_of(place))[0])
    kind.check(place)


def _check_path(spec: str, kind: Kind, path: str) -> None:
    if kind.path_to == "directory" and not remote.has_directories(path):
        return
    if not storage.exists(path):
        raise InputError(f"{spec}: there is no such {kind.path_to}; correct the path.")
    found = "directory" if storage.is_directory(path) else "file"
    if found != kind.path_to:
        raise InputError(f"{spec}: {path} is a {found}; did you mean {_kind_of(path).name}:{path}?")


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
    if not kind.path_to or storage.is_remote(place):
        return spec
    path = kind.path_of(place)
    return f"{kind.name}:{os.path.abspath(path)}{place.removeprefix(path)}"


def _parsed(spec: str) -> tuple[Kind, str]:
    """Returns the kind and the place of a data spec. A path alone gets the kind that it looks like."""
    name, _, place = spec.partition(":")
    kind = _KINDS.get(name)
    if kind is not None and kind.accepts(place or kind.default_place):
        return kind, kind.resolved(place or kind.default_place)
    if spec and storage.exists(spec):
        return _kind_of(spec), spec
    if (folder_of_split := _split_folder(spec)) != spec:
        return _KINDS["folder"], folder_of_split
    near = difflib.get_close_matches(name, _KINDS, n=1) if place else []
    hint = f"did you mean {near[0]}:{place}? " if near and near[0] != name else ""
    raise InputError(
        f"data {spec!r} is not understood, and there is no such file or directory: {hint}write {grammar()}."
    )


def _kind_of(path: str) -> Kind:
    """Returns the kind that an existing file or directory looks like.

    Raises:
        InputError: It is a file of no kind that is known.
    """
    if storage.is_directory(path):
        has_shards = all(storage.exists(os.path.join(path, name)) for name in (shards.MANIFEST, shards.INDEX))
        return _KINDS["shards" if has_shards else "folder"]
    ending = os.path.splitext(path)[1].lower()
    for kind in _KINDS.values():
        if ending in kind.endings:
            return kind
    raise InputError(
        f"{path} is a file, and its name does not say of which kind: put tar:, list: or csv: before it, or name "
        f"the directory of the images, folder:{os.path.dirname(path) or '.'}"
    )
