"""The images of a comparison of methods: those to train on, and labelled ones to measure on."""

import dataclasses
from pathlib import Path

from seer_tf.api.train_and_test import train_and_test
from seer_tf.data.shards.prepare import write_shards
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.labelled import open_labelled
from seer_tf.data.sources.registry import Data, absolute, name_of
from seer_tf.errors import InputError
from seer_tf.evaluation.features.labelled import class_labels
from seer_tf.parallel import LocalRunner, num_cores

_SHARD_BYTES = 150_000_000


@dataclasses.dataclass(frozen=True)
class ComparisonImages:
    """Images of a comparison.

    Attributes:
        train: Data spec of the images to train on.
        labelled: Labelled images to fit on; None without labels.
        test: Labelled images to measure on; None without labels.
    """

    train: str
    labelled: Data | None = None
    test: Data | None = None


def comparison_images(data: Data, labelled: Data | None, test: Data | None, directory: Path) -> ComparisonImages:
    """Checks the images. Images in memory, and images of which a part is held out, are written to shards.

    Args:
        data: Images to train on.
        labelled: Labelled images to fit on; None for `data`.
        test: Labelled images to measure on; None for a fifth of `data`, if it has classes.
        directory: Directory for shards.

    Raises:
        InputError: Images cannot be opened, or labels are missing.
    """
    if test is None:
        if labelled is not None:
            raise InputError("`train_data` without `test_data` measures nothing; give both, or leave out `train_data`")
        return _own(data, directory)
    others = [data] if labelled is None else [data, labelled]
    if absolute(name_of(test)) in {absolute(name_of(each)) for each in others}:
        raise InputError(f"`test_data` is the training data, {name_of(test)}; give other labelled images")
    train = _spec(data, directory / "train")
    fitted = train if labelled is None else labelled
    class_labels(open_labelled(fitted), open_labelled(test))  # raises before anything is trained
    return ComparisonImages(train, fitted, test)


def _own(data: Data, directory: Path) -> ComparisonImages:
    """Returns the images of one set; a fifth of each class is held out if there are classes."""
    if data == "builtin":
        return ComparisonImages("builtin", "builtin", "builtin:test")
    train, test = train_and_test(data)
    if test is None:
        return ComparisonImages(_spec(data, directory / "train"))
    shards = _shards(train, directory / "train"), _shards(test, directory / "test")
    return ComparisonImages(shards[0], *shards)


def _spec(data: Data, directory: Path) -> str:
    return absolute(data) if isinstance(data, str) else _shards(data, directory)


def _shards(source: Source, directory: Path) -> str:
    run = LocalRunner(num_cores())
    write_shards(source, str(directory), ShardOptions(), run=run, shard_bytes=_SHARD_BYTES)
    return absolute(f"shards:{directory}")
