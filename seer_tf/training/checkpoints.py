"""The checkpoints of a run: written in the background, read back whole or not at all, and models read from them.

A checkpoint is a flat map from variable name to tensor in the directory `step-<number>`; `saved_tensors.py` says how it
lies there. It is given variables, by name: handed Keras objects, TensorFlow silently leaves out layers held in lists.
"""

import concurrent.futures
import dataclasses
import pathlib
import shutil
from collections.abc import Mapping

import tensorflow as tf
from absl import logging

from seer_tf.config import AnyConfig
from seer_tf.errors import InputError
from seer_tf.files.atomic import UNFINISHED, remove_directory
from seer_tf.models.backbones.regnet import published
from seer_tf.training import tensor_store
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.state import RunState


class OtherNetworkError(InputError):
    """What is read is whole, but has other names or shapes than what it is read into."""


@dataclasses.dataclass(frozen=True)
class Quality:
    """What the best checkpoint is chosen by.

    Attributes:
        measure: Name of the number; only checkpoints with the same measure are compared.
        value: The higher, the better.
    """

    measure: str
    value: float


class Checkpoints:
    """The checkpoints of one run: the last few, one every so many steps, and the best."""

    def __init__(self, directory: RunDirectory, state: RunState) -> None:
        """Names them.

        Args:
            directory: Run directory.
            state: What is saved and restored.
        """
        self._directory, self._state = directory, state
        self._writer = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: concurrent.futures.Future | None = None

    def save(self, quality: Quality | None = None) -> None:
        """Copies the state, and has the copy written under its step while the next steps are made.

        Of several workers one does this alone: they all hold the same values. Where the one before is still being
        written, it waits for that: there is one copy at a time.

        Args:
            quality: Quality of the features, where it is known.

        Raises:
            InputError: the one before could not be written.
        """
        self.wait()
        step, tensors = int(self._state.step.numpy()), tensor_store.host_copies(self._state.named_variables())
        self._writing = self._writer.submit(self._write, step, tensors, quality)

    def check(self) -> None:
        """Raises, without waiting, where a checkpoint could not be written.

        Raises:
            InputError: so it is; those before it are as they were.
        """
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Waits until all that was saved is on the disk.

        Raises:
            InputError: it could not be written; those before it are as they were.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def restore_latest(self) -> int:
        """Restores the newest checkpoint that is whole, if there is one, and returns the step that the state is at.

        Raises:
            InputError: none of them is whole, or the newest whole one does not go with the config.
        """
        for unfinished in self._directory.checkpoints.glob(f"*{UNFINISHED}"):
            shutil.rmtree(unfinished, ignore_errors=True)  # of a process that died; several workers may look at it
        newest = restore_newest(self._state.named_variables(), self._directory, all_of_it=True)
        if newest is not None:
            self._state.model.licence = licence(newest)
        return int(self._state.step.numpy())

    def _write(self, step: int, tensors: Mapping[str, tf.Tensor], quality: Quality | None) -> None:
        quality_values = quality and dataclasses.asdict(quality)
        about = {"step": step, "quality": quality_values, "licence": self._state.model.licence}
        try:
            tensor_store.write(self._directory.checkpoint(step), tensors, about)
            published.add_notice(self._directory.path, self._state.model.licence)
            self._remove_unwanted(step)
        except (tf.errors.OpError, OSError) as error:
            raise InputError(
                f"no checkpoint can be written to {self._directory.checkpoints} ({_reason(error)}); make room or give "
                "permission, then the same command continues from the newest one"
            ) from None

    def _remove_unwanted(self, newest: int) -> None:
        """Removes what is not kept, and what lies beyond the newest: damaged ones that the run went back behind."""
        run, steps = self._state.config.run, self._directory.checkpoint_steps()
        qualities = {step: _quality(self._directory.checkpoint(step)) for step in steps if step <= newest}
        for step in set(steps) - kept(qualities, run.keep_checkpoints, run.keep_every_steps):
            remove_directory(self._directory.checkpoint(step))


def kept(qualities: Mapping[int, Quality | None], num_last: int, every_steps: int) -> set[int]:
    """Returns the steps whose checkpoints are kept.

    Args:
        qualities: Qualities by step, of all checkpoints there are.
        num_last: How many of the newest are kept.
        every_steps: Every steps of the others, those whose step is a multiple of this; 0 for none.

    Returns:
        These, and the step of the best by the newest measure; of two equals the earlier is the best, since what a probe
        has found goes with all checkpoints until it looks again.
    """
    steps = sorted(qualities)
    chosen = set(steps[-num_last:]) | {step for step in steps if every_steps and step % every_steps == 0}
    rated = [(step, quality) for step in steps if (quality := qualities[step]) is not None]
    if rated:
        alike = [(quality.value, -step) for step, quality in rated if quality.measure == rated[-1][1].measure]
        chosen.add(-max(alike)[1])
    return chosen


def restore_newest(
    variables: Mapping[str, tf.Variable], directory: RunDirectory, *, all_of_it: bool
) -> pathlib.Path | None:
    """Does as `restore` with the newest checkpoint that is whole; says which are not.

    Args:
        variables: Variables by name.
        directory: Run directory.
        all_of_it: Whether a checkpoint that holds more than the variables is refused.

    Returns:
        Where that checkpoint lies; None where there is none.

    Raises:
        InputError: none of them is whole, or the newest that is has other names or shapes than the variables.
    """
    steps = directory.checkpoint_steps()
    for step in reversed(steps):
        path = directory.checkpoint(step)
        try:
            _restore(variables, path, all_of_it=all_of_it)
            return path
        except tensor_store.DamagedError as error:
            logging.warning("the checkpoint %s is damaged (%s); the one before it is used", path, error)
    if steps:
        raise InputError(f"every checkpoint in {directory.checkpoints} is damaged; start again in another `run_dir`")
    return None


def restore(variables: Mapping[str, tf.Variable], path: pathlib.Path, *, all_of_it: bool) -> None:
    """Assigns every variable its tensor of a checkpoint, or none of them one.

    Args:
        variables: Variables by name.
        path: Path of the checkpoint.
        all_of_it: Whether a checkpoint that holds more than the variables is refused.

    Raises:
        InputError: the checkpoint is damaged, or has other names or shapes than the variables.
    """
    try:
        _restore(variables, path, all_of_it=all_of_it)
    except tensor_store.DamagedError as error:
        raise InputError(f"the checkpoint {path} is damaged ({error}); give another one") from None


def licence(path: pathlib.Path) -> str:
    """Returns the licence of the weights in a checkpoint; empty where nothing is known of it."""
    return tensor_store.read_about(path).get("licence", "")


def in_float32(config: AnyConfig) -> AnyConfig:
    """Returns the config of a run whose weights are to be read and not trained."""
    return dataclasses.replace(config, run=dataclasses.replace(config.run, precision="float32"))


def _restore(variables: Mapping[str, tf.Variable], path: pathlib.Path, *, all_of_it: bool) -> None:
    shapes = tensor_store.shapes(path)
    for name in sorted(variables.keys() ^ shapes.keys()):
        if name in variables or all_of_it:
            where = "lacks" if name in variables else "has"
            raise OtherNetworkError(f"the checkpoint {path} is of another config than this run: it {where} {name}")
    for name, variable in variables.items():
        if shapes[name] != tuple(variable.shape):
            raise OtherNetworkError(
                f"the checkpoint {path} is of another network: {name} has shape {shapes[name]} there and "
                f"{tuple(variable.shape)} here"
            )
    for name, tensor in tensor_store.read(path, variables).items():
        variables[name].assign(tf.cast(tensor, variables[name].dtype))


def _quality(path: pathlib.Path) -> Quality | None:
    saved = tensor_store.read_about(path).get("quality")
    return Quality(**saved) if saved else None


def _reason(error: tf.errors.OpError | OSError) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    return error.message.rpartition("; ")[2].partition(" [Op:")[0]
