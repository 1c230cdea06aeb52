"""The grammar of a data flag, in one place."""

import functools

import numpy as np

from seer_tf.data.sources import builtin, csv_table, folder, list_file, shards, tar
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError

GRAMMAR = (
    "folder:DIR, tar:FILE, list:FILE, csv:FILE, shards:DIR, builtin, builtin:test or tfds:NAME[/CONFIG][:VERSION]@SPLIT"
)
_OPENERS = {
    "folder": folder.open_folder,
    "tar": tar.open_tar,
    "list": list_file.open_list,
    "csv": csv_table.open_csv,
    "shards": shards.open_shards,
}


class BuiltinSource(Source):
    """The rendered image set; an image is rendered when it is first read, and kept, being a few kilobytes."""

    is_verified = True

    def __init__(self, split: str) -> None:
        """`split` is "train" or "test"."""
        self._split = split
        self.ids = [f"{split}/{index:06d}.jpg" for index in range(builtin.num_images(split))]
        self.class_names = tuple(builtin.class_names)
        self._render = functools.cache(functools.partial(builtin.render_image, split))

    def __reduce__(self) -> tuple[type, tuple[str]]:
        """Goes to another process by its name, without what was rendered."""
        return BuiltinSource, (self._split,)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """Class of each image, int64 `[num_images]`; renders what was not rendered yet."""
        return np.array([self._render(index)[1] for index in range(self.num_images)], np.int64)

    def read(self, index: int) -> bytes:
        """Returns image `index` as JPEG."""
        return self._render(index)[0]


def open_source(flag: str) -> Source:
    """Opens what a data flag names.

    Args:
        flag: `folder:DIR`, `tar:FILE`, `list:FILE` (a path on each line), `csv:FILE` (paths and labels), `shards:DIR`,
            `builtin` (its training images), `builtin:test`, or `tfds:NAME[/CONFIG][:VERSION]@SPLIT`.

    Raises:
        InputError: the flag is not of this grammar, or what it names is missing, empty or broken.
    """
    kind, _, rest = flag.partition(":")
    if kind == "builtin" and rest in ("", "train", "test"):
        return BuiltinSource(rest or "train")
    if kind in _OPENERS and rest:
        return _OPENERS[kind](rest)
    if kind == "tfds" and rest:
        from seer_tf.data.sources import tfds  # only here: TensorFlow Datasets takes a while to import

        return tfds.open_tfds(rest)
    raise InputError(f"data {flag!r} is not understood; write {GRAMMAR}.")
