"""The loop around the step: data in, several steps per call, numbers out, checkpoints, a clean end."""

import dataclasses
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from seer_tf.config import Config
from seer_tf.data.pretraining import pretraining_dataset
from seer_tf.data.reading import unreadable_images_named
from seer_tf.data.sources import Source
from seer_tf.errors import InputError
from seer_tf.progress import Progress
from seer_tf.train.checkpoints import Checkpoints
from seer_tf.train.guards import StopSignals, check_finite
from seer_tf.train.run_directory import RunDirectory
from seer_tf.train.state import TrainState
from seer_tf.train.step import train_step, watched
from seer_tf.train.summaries import Summaries


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call of `pretrain` ended.

    Attributes:
        step: the number of steps that the run has made in all.
        stopped_by: name of the signal that ended it early, or None when it is complete.
    """

    step: int
    stopped_by: str | None


def pretrain(config: Config, source: Source, directory: RunDirectory) -> Outcome:
    """Trains from the newest checkpoint of a run directory, or from the beginning, to the end.

    Args:
        config: of the run.
        source: the images.
        directory: of the run.

    Raises:
        InputError: the data is too small for the config, the directory belongs to another run, or a number is not
            finite.
    """
    _check_size(config, source)
    directory.claim(config)
    strategy = tf.distribute.get_strategy()
    with strategy.scope():
        state = TrainState(config)
    checkpoints = Checkpoints(directory.checkpoints, state)
    first_step = checkpoints.restore_latest()
    summaries = Summaries(directory.tensorboard, config)
    dataset = _dataset(config, source, first_step, strategy)
    if first_step < config.run.num_steps:
        with unreadable_images_named():
            summaries.crops(first_step, next(iter(_dataset(config, source, first_step, tf.distribute.get_strategy()))))
    advance = _steps_function(state, strategy)
    with (
        StopSignals() as stop,
        Progress(config.run.num_steps, "step", "pretraining", done=first_step) as progress,
    ):
        step, batches = first_step, iter(dataset)
        advance.get_concrete_function(batches, tf.constant(0))  # traced here, so that the first rate is one of training
        log = _Log(config, summaries, progress, watched(state))
        while step < config.run.num_steps and stop.received is None:
            count = _steps_until_next_event(config, step)
            with unreadable_images_named():
                metrics = advance(batches, tf.constant(count))
            log.add(step, count, metrics)
            step += count
            if step % config.run.checkpoint_every_steps == 0 or step == config.run.num_steps:
                checkpoints.save()
        if stop.received is not None and step % config.run.checkpoint_every_steps:
            checkpoints.save()
    return Outcome(step, stop.received if step < config.run.num_steps else None)


def _check_size(config: Config, source: Source) -> None:
    batch, prototypes = config.data.global_batch_size, config.head.num_prototypes
    if batch > source.num_images:
        raise InputError(
            f"data.global_batch_size={batch} is more than the {source.num_images} images of {config.data.source}; "
            f"lower it, e.g. --set data.global_batch_size={max(1, source.num_images // 2)}"
        )
    if prototypes > source.num_images:
        raise InputError(
            f"head.num_prototypes={prototypes} is more than the {source.num_images} images of {config.data.source}; "
            f"lower it, e.g. --set head.num_prototypes={max(1, source.num_images // 10)}"
        )


def _dataset(config: Config, source: Source, first_step: int, strategy: tf.distribute.Strategy) -> tf.data.Dataset:
    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        batch = config.data.global_batch_size
        local = batch // context.num_input_pipelines
        return pretraining_dataset(
            source,
            config.crops,
            local_batch_size=local,
            global_batch_size=batch,
            first_image_in_batch=context.input_pipeline_id * local,
            seed=config.run.seed,
            first_step=first_step,
        )

    return strategy.distribute_datasets_from_function(of_worker)


def _steps_function(state: TrainState, strategy: tf.distribute.Strategy) -> tf.types.experimental.PolymorphicFunction:
    """Returns a traced function of (batches, number of steps) that gives each metric as float32 [steps]."""

    @tf.function
    def several(batches: Iterator, count: tf.Tensor) -> dict[str, tf.Tensor]:
        history = tf.TensorArray(tf.float32, size=count)
        names: list[str] = []
        for index in tf.range(count):
            asked = tf.timestamp()
            batch = next(batches)
            with tf.control_dependencies(tf.nest.flatten(strategy.experimental_local_results(batch))):
                waited = tf.timestamp() - asked
            metrics = strategy.run(train_step, args=(state, batch))
            metrics = {name: strategy.experimental_local_results(value)[0] for name, value in metrics.items()}
            metrics["seconds_waiting"] = tf.cast(waited, tf.float32)
            state.step.assign_add(1)
            names[:] = metrics
            history = history.write(index, tf.stack([tf.cast(value, tf.float32) for value in metrics.values()]))
        return dict(zip(names, tf.unstack(tf.transpose(history.stack()), num=len(names)), strict=True))

    return several


def _steps_until_next_event(config: Config, step: int) -> int:
    run = config.run
    to_event = [every - step % every for every in (run.log_every_steps, run.checkpoint_every_steps)]
    return min(run.steps_per_call, run.num_steps - step, *to_event)


class _Log:
    """Collects the metrics of an interval, and writes its means."""

    def __init__(self, config: Config, summaries: Summaries, progress: Progress, watched_names: list[str]) -> None:
        self._config, self._summaries, self._progress = config, summaries, progress
        self._watched = watched_names
        self._collected: list[dict[str, np.ndarray]] = []
        self._since = time.monotonic()

    def add(self, first_step: int, count: int, metrics: dict[str, tf.Tensor]) -> None:
        values = {name: value.numpy() for name, value in metrics.items()}
        check_finite(values["first_bad"], first_step, self._watched)
        self._collected.append(values)
        step = first_step + count
        note = ""
        if step % self._config.run.log_every_steps == 0 or step == self._config.run.num_steps:
            note = self._write(step)
        self._progress.advance(count, note)

    def _write(self, step: int) -> str:
        joined = {name: np.concatenate([part[name] for part in self._collected]) for name in self._collected[0]}
        seconds = time.monotonic() - self._since
        means = {name: float(np.mean(values)) for name, values in joined.items()}
        steps = len(joined["loss"])
        means["update_norm"] = float(np.mean(joined["learning_rate"] * joined["velocity_norm"]))
        means["images_per_second"] = steps * self._config.data.global_batch_size / seconds
        means["data_wait_share"] = float(np.sum(joined["seconds_waiting"])) / seconds
        means = self._summaries.scalars(step, means)
        self._collected, self._since = [], time.monotonic()
        return (
            f"loss {means['loss']:.3f} = {means['relative_loss']:.3f} ln K, {means['images_per_second']:.0f} images/s, "
            f"{means['data_wait_share']:.0%} of the time waiting for data"
        )
