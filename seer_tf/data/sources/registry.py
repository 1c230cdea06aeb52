"""The grammar of a data spec, such as `folder:DIR`: the kind of the source, and where it lies."""

from collections.abc import Callable

from seer_tf.data.sources import builtin, csv_table, folder, list_file, shards, tar
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError

GRAMMAR = (
    "folder:DIR, tar:FILE, list:FILE, csv:FILE, shards:DIR, builtin, builtin:test or tfds:NAME[/CONFIG][:VERSION]@SPLIT"
)


def _open_tfds(name_at_split: str) -> Source:
    from seer_tf.data.sources import tfds  # only here: TensorFlow Datasets takes a while to import

    return tfds.open_tfds(name_at_split)


_OPENERS: dict[str, Callable[[str], Source]] = {
    "folder": folder.open_folder,
    "tar": tar.open_tar,
    "list": list_file.open_list,
    "csv": csv_table.open_csv,
    "shards": shards.open_shards,
    "builtin": builtin.BuiltinSource,
    "tfds": _open_tfds,
}


def open_source(spec: str) -> Source:
    """Opens the source that a data spec names.

    Args:
        spec: `folder:DIR`, `tar:FILE`, `list:FILE` (a path on each line), `csv:FILE` (paths and labels), `shards:DIR`,
            `builtin` (its training images), `builtin:test`, or `tfds:NAME[/CONFIG][:VERSION]@SPLIT`.

    Raises:
        InputError: The spec does not follow this grammar, or its images are missing or damaged.
    """
    kind, _, place = ("builtin:train" if spec in ("builtin", "builtin:") else spec).partition(":")
    if kind not in _OPENERS or not place or (kind == "builtin" and place not in builtin.SPLITS):
        raise InputError(f"data {spec!r} is not understood; write {GRAMMAR}.")
    return _OPENERS[kind](place)
