"""The checkpoints of a run: written in the background, and read back completely or not at all.

A checkpoint is a flat map from variable names to tensors in the directory `step-<number>`; `tensor_store.py` describes
its files. Variables are passed by name, because TensorFlow's object-based checkpoints silently leave out Keras layers
that are held in lists.
"""

import concurrent.futures
import dataclasses
import functools
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
    """The checkpoint is undamaged, but its names or shapes differ from those of the variables to restore."""


@dataclasses.dataclass(frozen=True)
class Quality:
    """The number by which the best checkpoint is chosen.

    Attributes:
        measure: Name of the number; only checkpoints with the same measure are compared.
        value: The number; higher is better.
    """

    measure: str
    value: float


@dataclasses.dataclass(frozen=True)
class About:
    """The description of a checkpoint, beside its tensors.

    Attributes:
        step: Step of the run.
        quality: Quality of the features; None if it is unknown.
        licence: Licence of the weights; empty if it is unknown.
    """

    step: int | None = None
    quality: Quality | None = None
    licence: str = ""


class Checkpoints:
    """The checkpoints of one run: the newest few, those at regular steps, and the best."""

    def __init__(self, directory: RunDirectory, state: RunState) -> None:
        """Prepares the background writer.

        Args:
            directory: Run directory.
            state: State to save and restore.
        """
        self._directory, self._state = directory, state
        self._writer = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: concurrent.futures.Future | None = None

    def save(self, quality: Quality | None = None) -> None:
        """Copies the state, and writes the copy in the background while training goes on.

        All workers hold the same values, so only one of them saves. There is one copy at a time: if the previous
        checkpoint is still being written, this call waits for it.

        Args:
            quality: Quality of the features; None if it is unknown.

        Raises:
            InputError: The previous checkpoint could not be written.
        """
        self.wait()
        step, tensors = int(self._state.step.numpy()), tensor_store.host_copies(self._state.named_variables())
        self._writing = self._writer.submit(self._write, step, tensors, quality)

    def check(self) -> None:
        """Raises an error if a checkpoint could not be written. Does not wait for one that is being written.

        Raises:
            InputError: The checkpoint could not be written; earlier checkpoints are unchanged.
        """
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Waits until the last saved checkpoint is on the disk.

        Raises:
            InputError: The checkpoint could not be written; earlier checkpoints are unchanged.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def restore_latest(self) -> int:
        """Restores the newest undamaged checkpoint, if there is one, and returns the step of the state.

        Raises:
            InputError: All checkpoints are damaged, or the newest undamaged one does not fit the config.
        """
        for unfinished in self._directory.checkpoints.glob(f"*{UNFINISHED}"):
            # A process that died left this directory. Several workers may try to remove it at the same time.
            shutil.rmtree(unfinished, ignore_errors=True)
        newest = restore_newest(self._state.named_variables(), self._directory, strict=True)
        if newest is not None:
            self._state.model.licence = licence(newest)
        return int(self._state.step.numpy())

    def _write(self, step: int, tensors: Mapping[str, tf.Tensor], quality: Quality | None) -> None:
        about = dataclasses.asdict(About(step, quality, self._state.model.licence))
        if not self._directory.path.exists():  # else the checkpoint would lie in a directory without the rest of a run
            raise InputError(
                f"{self._directory.path} was removed while the run was training, so no checkpoint can be written; the "
                "same command starts the run again"
            )
        try:
            tensor_store.write(self._directory.checkpoint(step), tensors, about)
            published.add_notice(self._directory.path, self._state.model.licence)
            self._remove_unwanted(step)
        except (tf.errors.OpError, OSError) as error:
            raise InputError(
                f"no checkpoint can be written to {self._directory.checkpoints} ({_reason(error)}); make room or give "
                "permission, then the same command continues from the newest checkpoint"
            ) from None

    def _remove_unwanted(self, newest: int) -> None:
        """Removes checkpoints that are not kept, and those with a later step than the newest one.

        Later ones are damaged: the run could not read them and continued from an earlier checkpoint.
        """
        run, steps = self._state.config.run, self._directory.checkpoint_steps()
        qualities = {step: _quality(self._directory.checkpoint(step)) for step in steps if step <= newest}
        for step in set(steps) - steps_to_keep(qualities, run.keep_checkpoints, run.keep_every_steps):
            remove_directory(self._directory.checkpoint(step))


def steps_to_keep(qualities: Mapping[int, Quality | None], num_last: int, every_steps: int) -> set[int]:
    """Returns the steps whose checkpoints are kept.

    Args:
        qualities: Quality of each existing checkpoint, by step.
        num_last: Number of newest checkpoints to keep.
        every_steps: Older checkpoints are kept if their step is a multiple of this number; 0 for none.

    Returns:
        The steps to keep, including the best checkpoint by the newest measure. If two are equally good, the earlier
        one is the best, because checkpoints repeat the result of the last probe until the next probe.
    """
    steps = sorted(qualities)
    chosen = set(steps[-num_last:]) | {step for step in steps if every_steps and step % every_steps == 0}
    rated = [(step, quality) for step in steps if (quality := qualities[step]) is not None]
    if rated:
        alike = [(quality.value, -step) for step, quality in rated if quality.measure == rated[-1][1].measure]
        chosen.add(-max(alike)[1])
    return chosen


def restore_newest(
    variables: Mapping[str, tf.Variable], directory: RunDirectory, *, strict: bool
) -> pathlib.Path | None:
    """Restores variables from the newest undamaged checkpoint, and warns about damaged ones.

    Args:
        variables: Variables by name.
        directory: Run directory.
        strict: Whether to refuse a checkpoint that holds more than the variables, as in PyTorch.

    Returns:
        Path of that checkpoint; None without checkpoints.

    Raises:
        InputError: All checkpoints are damaged, or the newest undamaged one has other names or shapes than the
            variables.
    """
    steps = directory.checkpoint_steps()
    for step in reversed(steps):
        path = directory.checkpoint(step)
        try:
            _restore(variables, path, strict=strict)
            return path
        except tensor_store.DamagedError as error:
            logging.warning("the checkpoint %s is damaged (%s); trying the one before it", path, error)
    if steps:
        raise InputError(f"every checkpoint in {directory.checkpoints} is damaged; start again in another `run_dir`")
    return None


def restore(variables: Mapping[str, tf.Variable], path: pathlib.Path, *, strict: bool) -> None:
    """Assigns every variable its tensor from a checkpoint; if one does not fit, changes no variable.

    Args:
        variables: Variables by name.
        path: Path of the checkpoint.
        strict: Whether to refuse a checkpoint that holds more than the variables, as in PyTorch.

    Raises:
        InputError: The checkpoint is damaged, or has other names or shapes than the variables.
    """
    try:
        _restore(variables, path, strict=strict)
    except tensor_store.DamagedError as error:
        raise InputError(f"the checkpoint {path} is damaged ({error}); give another one") from None


def licence(path: pathlib.Path) -> str:
    """Returns the licence of the weights in a checkpoint; empty if the licence is unknown.

    All checkpoints of a run have the same licence, so a damaged `about.json` loses nothing while there is another.
    """
    others = sorted(other for other in path.parent.iterdir() if other != path and other.is_dir())
    found = (about(each) for each in (path, *others))
    return next((each.licence for each in found if each is not None), "")


def about(path: pathlib.Path) -> About | None:
    """Returns the description of a checkpoint; None, with a warning, if it is damaged."""
    try:
        return tensor_store.read_about(path, About)
    except tensor_store.DamagedError as error:
        _warn(f"{path / 'about.json'} is damaged ({error}); the tensors are intact, their quality is unknown")
        return None


def in_float32(config: AnyConfig) -> AnyConfig:
    """Returns a run's config with float32 precision, for reading its weights without training them."""
    return dataclasses.replace(config, run=dataclasses.replace(config.run, precision="float32"))


def _restore(variables: Mapping[str, tf.Variable], path: pathlib.Path, *, strict: bool) -> None:
    shapes = tensor_store.shapes(path)
    for name in sorted(variables.keys() ^ shapes.keys()):
        if name in variables or strict:
            where = "lacks" if name in variables else "has"
            raise OtherNetworkError(f"the checkpoint {path} is from a run with another config: it {where} {name}")
    for name, variable in variables.items():
        if shapes[name] != tuple(variable.shape):
            raise OtherNetworkError(
                f"the checkpoint {path} holds another network: {name} has shape {shapes[name]} there and "
                f"{tuple(variable.shape)} here"
            )
    for name, tensor in tensor_store.read(path, variables).items():
        variables[name].assign(tf.cast(tensor, variables[name].dtype))


def _quality(path: pathlib.Path) -> Quality | None:
    found = about(path)
    return None if found is None else found.quality


@functools.cache
def _warn(text: str) -> None:
    logging.warning("%s", text)  # cached, so that each text is shown once


def _reason(error: tf.errors.OpError | OSError) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    return error.message.rpartition("; ")[2].partition(" [Op:")[0]
