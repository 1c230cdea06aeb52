"""The crops of a run in files, so that several contestants train on the same pixels.

`crops-<side>px.npy` is uint8 [steps, B, n, s, s, 3] with n crops of one size; element t is the batch of step t.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from seer_tf.config import Config
from seer_tf.data.pipelines.pretraining import pretraining_dataset
from seer_tf.data.sources.registry import Source
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.files.atomic import atomic_file
from seer_tf.progress import Progress


@dataclasses.dataclass(frozen=True)
class CropFiles:
    """The files of one run; their content is not in memory.

    Attributes:
        paths: A path for each crop size, in the config's order.
    """

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, config: Config, source: Source, directory: Path) -> "CropFiles":
        """Returns the files of a run in a directory, and writes missing files first.

        Args:
            config: Config of the run, including seed and number of steps.
            source: Source of the images.
            directory: Directory that is used only for this config.
        """
        files = cls(tuple(directory / f"crops-{side}px.npy" for side in config.crops.sizes_px))
        if not all(path.exists() for path in files.paths):
            directory.mkdir(parents=True, exist_ok=True)
            files._write(config, source)
        return files

    def _write(self, config: Config, source: Source) -> None:
        num_steps, num_images = config.run.num_steps, config.data.global_batch_size
        batches = pretraining_dataset(
            ReplacingSource(source, config.data.max_bad_fraction),
            config.crops,
            local_batch_size=num_images,
            global_batch_size=num_images,
            first_image_in_batch=0,
            seed=config.run.seed,
            first_step=0,
        )
        label = f"writing crops to {self.paths[0].parent}"
        with contextlib.ExitStack() as files, Progress(num_steps, "step", label) as progress:
            arrays = [
                np.lib.format.open_memmap(
                    files.enter_context(atomic_file(path)), "w+", np.uint8, (num_steps, num_images, num, side, side, 3)
                )
                for path, num, side in zip(self.paths, config.crops.num, config.crops.sizes_px, strict=True)
            ]
            for step, batch in enumerate(batches.take(num_steps)):
                for array, group in zip(arrays, batch, strict=True):
                    array[step] = group.numpy()
                progress.advance()
            for array in arrays:
                array.flush()

    def arrays(self) -> list[np.ndarray]:
        """Returns an array for each size, uint8 [steps, B, n, s, s, 3], mapped from the file."""
        return [np.load(path, mmap_mode="r") for path in self.paths]

    def batches(self) -> tf.data.Dataset:
        """Returns the batches in order, repeated endlessly: tuples with uint8 [B, n, s, s, 3] for each size."""
        return tf.data.Dataset.zip(*self._groups()).repeat().prefetch(tf.data.AUTOTUNE)

    def _groups(self) -> Iterator[tf.data.Dataset]:
        for path, array in zip(self.paths, self.arrays(), strict=True):
            shape = array.shape[1:]
            of_batch = int(np.prod(shape))
            header = path.stat().st_size - of_batch * len(array)
            records = tf.data.FixedLengthRecordDataset(str(path), of_batch, header_bytes=header)
            yield records.map(lambda record, shape=shape: tf.reshape(tf.io.decode_raw(record, tf.uint8), shape))
