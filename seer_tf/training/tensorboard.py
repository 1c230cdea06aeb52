"""The events that a run writes for TensorBoard: its config, numbers in groups, pictures and histograms."""

import contextlib
import pathlib
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from seer_tf import config as configs
from seer_tf.config import BaseConfig
from seer_tf.errors import InputError, printable

#: Appended to the name of a number that is written in percent.
PERCENT = "_percent"

_SHEET_IMAGES = 8


class Summaries:
    """TensorBoard's events of one run."""

    def __init__(self, directory: pathlib.Path, config: BaseConfig) -> None:
        """Opens a new event file in `directory`, and writes the config as text and as hyperparameters.

        Raises:
            InputError: The directory cannot be written.
        """
        self._directory = directory
        with self._surroundings_named():
            self._writer = tf.summary.create_file_writer(str(directory))
        fields = {name: printable(value) for name, value in configs.to_texts(config).items()}
        table = "\n".join(f"| {name} | {value} |" for name, value in {"recipe": config.recipe, **fields}.items())
        with self._writing(step=0):
            tf.summary.text("config", f"| field | value |\n|---|---|\n{table}")
            hparams.hparams({"recipe": config.recipe, **{name: _typed(value) for name, value in fields.items()}})

    def numbers(self, step: int, numbers: Mapping[str, float], shares: Collection[str] = ()) -> None:
        """Writes the numbers of the interval that ends at `step`.

        The part of a name before the slash is its group. TensorBoard sorts groups by name and opens the first two.

        Args:
            step: Number of steps at the end of the interval.
            numbers: Value of each name.
            shares: Names of the numbers that are fractions. They are written in percent, and their names say so.
        """
        with self._writing(step):
            for name, value in numbers.items():
                if name in shares:
                    tf.summary.scalar(name + PERCENT, 100 * value)
                else:
                    tf.summary.scalar(name, value)

    def text(self, name: str, text: str) -> None:
        """Writes a text, in Markdown, under a name."""
        with self._writing(step=0):
            tf.summary.text(name, text)

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray], description: str) -> None:
        """Writes pictures, uint8 [height, width, 3], by name; `description` says what they show."""
        with self._writing(step):
            for name, picture in pictures.items():
                tf.summary.image(name, picture[np.newaxis], description=description)

    def crops(self, step: int, crops: tuple[tf.Tensor, ...]) -> None:
        """Writes the picture that `crop_sheet` makes from crops."""
        self.pictures(step, {"training/crops": crop_sheet(crops)}, "Each row: the crops of one image in a step.")

    def histograms(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Writes a histogram of values, float of any shape, by name."""
        with self._writing(step):
            for name, value in values.items():
                tf.summary.histogram(name, value)

    @contextlib.contextmanager
    def _writing(self, step: int) -> Iterator[None]:
        with self._surroundings_named(), self._writer.as_default(step=step):
            yield
            self._writer.flush()

    @contextlib.contextmanager
    def _surroundings_named(self) -> Iterator[None]:
        try:
            yield
        except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError, tf.errors.UnknownError) as error:
            raise InputError(
                f"nothing can be written to {self._directory} ({error.message.splitlines()[0].rpartition('; ')[2]}); "
                "make room or give permission, then the same command continues from the newest checkpoint"
            ) from None


def crop_sheet(crops: tuple[tf.Tensor, ...]) -> np.ndarray:
    """Returns a picture, uint8 [height, width, 3]. Each row has the crops of one image side by side, largest first.

    Args:
        crops: One uint8 tensor [B, crops, side, side, 3] for each crop size.
    """
    height = max(group.shape[2] for group in crops)
    rows = []
    for image in range(min(_SHEET_IMAGES, crops[0].shape[0])):
        tiles = [np.asarray(crop) for group in crops for crop in group[image]]
        rows.append(np.concatenate([_pad(tile, height) for tile in tiles], axis=1))
    return np.concatenate(rows, axis=0)


def _pad(tile: np.ndarray, height: int) -> np.ndarray:
    return np.pad(tile, ((0, height - tile.shape[0] + 2), (0, 2), (0, 0)), constant_values=255)


def _typed(text: str) -> float | str:
    """Returns the number that a text holds, so that TensorBoard can sort and filter by it; else the text."""
    try:
        return float(text)
    except ValueError:
        return text
