"""The grammar of a data flag, in one place: `folder:DIR`, `shards:DIR`, `builtin[:SPLIT]`, `tfds:NAME...@SPLIT`."""

import functools

import numpy as np

from seer_tf.data import folder, shards, synthetic
from seer_tf.data.source import Source
from seer_tf.errors import InputError

_GRAMMAR = "folder:DIR, shards:DIR, builtin, builtin:test or tfds:NAME[/CONFIG][:VERSION]@SPLIT"


class BuiltinSource(Source):
    """The rendered image set; an image is rendered when it is first read, and kept, being a few kilobytes."""

    def __init__(self, split: str) -> None:
        """`split` is "train" or "test"."""
        self._split = split
        self.ids = [f"{split}/{index:06d}.jpg" for index in range(synthetic.num_images(split))]
        self.class_names = tuple(synthetic.class_names)
        self._render = functools.cache(functools.partial(synthetic.render_image, split))

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
        flag: `folder:DIR`, `shards:DIR`, `builtin` (its training images), `builtin:test`, or
            `tfds:NAME[/CONFIG][:VERSION]@SPLIT`.

    Raises:
        InputError: the flag is not of this grammar, or what it names is missing, empty or broken.
    """
    kind, _, rest = flag.partition(":")
    if kind == "builtin" and rest in ("", "train", "test"):
        return BuiltinSource(rest or "train")
    if kind == "folder" and rest:
        return folder.open_folder(rest)
    if kind == "shards" and rest:
        return shards.open_shards(rest)
    if kind == "tfds" and rest:
        from seer_tf.data import tfds_source  # only here: TensorFlow Datasets takes a while to import

        return tfds_source.open_tfds(rest)
    raise InputError(f"data {flag!r} is not understood; write {_GRAMMAR}.")
