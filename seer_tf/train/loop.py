"""The loop around the step: data in, several steps per call, numbers out, checkpoints, a clean end."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import tensorflow as tf

from seer_tf import distribution
from seer_tf.config import Config
from seer_tf.data.pretraining import distorted, pretraining_dataset
from seer_tf.data.reading import unreadable_images_named
from seer_tf.data.replacing import ReplacingSource
from seer_tf.data.sources import Source
from seer_tf.errors import InputError
from seer_tf.strategies import is_chief
from seer_tf.train.checkpoints import Checkpoints
from seer_tf.train.guards import StopSignals
from seer_tf.train.initialization import initialize
from seer_tf.train.log import RunLog, Watching
from seer_tf.train.run_directory import RunDirectory
from seer_tf.train.skipped_steps import check_skipped
from seer_tf.train.state import TrainState
from seer_tf.train.step import train_step, watched


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call of `pretrain` ended.

    Attributes:
        step: the number of steps that the run has made in all.
        stopped_by: what ended it early, the name of a signal, or None when it is complete.
    """

    step: int
    stopped_by: str | None


def pretrain(
    config: Config,
    source: Source,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy | None = None,
    watching: Watching | None = None,
) -> Outcome:
    """Trains from the newest checkpoint of a run directory, or from the beginning, to the end.

    With several workers each of them calls this. The directory is one that all of them see, and the chief alone writes.

    Args:
        config: of the run.
        source: the images.
        directory: of the run.
        strategy: over the devices that compute; None for one device.
        watching: what is looked at on the way, beside the numbers of every run.

    Raises:
        InputError: the data is too small for the config, the batch does not divide by the replicas, the directory
            belongs to another run or another process writes to it, there is no space, or the run is in trouble and
            `run.on_trouble` says to stop.
    """
    strategy = strategy or tf.distribute.get_strategy()
    check_fit(config, source, strategy.num_replicas_in_sync)
    with directory.claimed(config) if is_chief(strategy) else contextlib.nullcontext():
        with strategy.scope():
            state = TrainState(config)
        checkpoints = Checkpoints(directory, state)
        if not checkpoints.restore_latest() and config.run.init_from:
            initialize(state)
        step = int(state.step.numpy())
        if step == config.run.num_steps:
            return Outcome(step, stopped_by=None)
        with unreadable_images_named():
            batches = iter(batches_from(step, config, source, strategy))
            batch = next(batches)
            log = None
            if is_chief(strategy):
                of_replica = tf.nest.map_structure(lambda part: strategy.experimental_local_results(part)[0], batch)
                shown = distorted(of_replica, config.crops)
                log = RunLog(state, source, directory, shown, watching or Watching())
            return _train(state, strategy, batch, batches, checkpoints, log)


def check_fit(config: Config, source: Source, num_replicas: int) -> None:
    """Raises where config, images and devices do not go together.

    Args:
        config: of the run.
        source: the images.
        num_replicas: number of devices of all workers together.

    Raises:
        InputError: naming the field to change.
    """
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
    if batch % num_replicas:
        raise InputError(
            f"data.global_batch_size={batch} does not divide by {num_replicas} replicas; "
            f"take e.g. --set data.global_batch_size={max(1, batch // num_replicas) * num_replicas}"
        )
    images, parts = batch // num_replicas, config.run.accumulation_steps
    if images % parts:
        raise InputError(
            f"run.accumulation_steps={parts} does not divide the {images} images of each of {num_replicas} replicas; "
            "take a divisor of them"
        )
    if config.run.xla and num_replicas > 1:
        raise InputError(
            f"--xla compiles the step of one device, but there are {num_replicas} replicas, and TensorFlow has no sums "
            "over replicas in compiled code; leave out --xla, or give --strategy=one_device"
        )
    distribution.num_groups(num_replicas, group_replicas=config.run.batch_norm_group_replicas)  # or raises


def _train(
    state: TrainState,
    strategy: tf.distribute.Strategy,
    batch: tuple,
    batches: Iterator,
    checkpoints: Checkpoints,
    log: RunLog | None,
) -> Outcome:
    """Makes the steps that are left, or those until somebody wants to stop. The chief alone has a log, and saves."""
    run, step = state.config.run, int(state.step.numpy())
    advance, agree = steps_function(state, strategy), _agreement(strategy)
    advance(batch, batches, tf.constant(0))  # no step, but the graph: the first rate is one of training
    with StopSignals() as stop, log or contextlib.nullcontext():
        stopping = False
        while step < run.num_steps and not stopping:
            count = _steps_until_next_event(state.config, step)
            metrics, batch = advance(batch, batches, tf.constant(count))
            check_skipped(metrics["skipped_in_a_row"].numpy(), metrics["first_bad"].numpy(), step, watched(state))
            step += count
            if log:
                log.add(step, metrics)
            checkpoints.check()
            troubles = log.troubles if log and run.on_trouble == "stop" else []
            stopping = agree(bool(troubles) or stop.received is not None)
            if troubles:
                raise InputError(f"step {step}: {troubles[0]}; --on_trouble=warn goes on all the same")
            if log and (stopping or step % run.checkpoint_every_steps == 0 or step == run.num_steps):
                checkpoints.save(log.quality)
        checkpoints.wait()
        agree(False)  # nobody leaves before the chief has saved
    stopped_by = stop.received or "a signal to another worker"
    return Outcome(step, stopped_by if step < run.num_steps else None)


def batches_from(
    first_step: int, config: Config, source: Source, strategy: tf.distribute.Strategy
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Returns the endless dataset of global batches, of which each replica gets its slice, in the order of replicas.

    Args:
        first_step: the step whose batch comes first.
        config: of the run.
        source: the images.
        strategy: over the replicas.
    """

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        batch = config.data.global_batch_size
        local = batch // context.num_input_pipelines
        batches = pretraining_dataset(
            ReplacingSource(source, config.data.max_bad_fraction),
            config.crops,
            local_batch_size=local,
            global_batch_size=batch,
            first_image_in_batch=context.input_pipeline_id * local,
            seed=config.run.seed,
            first_step=first_step,
            distort_here=config.data.augment_on == "host",
        )
        of_replica = batch // context.num_replicas_in_sync
        if of_replica < local:
            batches = batches.rebatch(of_replica, drop_remainder=True)  # replicas take one element each, in turn
        return batches.repeat()  # known to be endless: otherwise hosts would ask one another in each step

    return strategy.distribute_datasets_from_function(of_worker)


def steps_function(state: TrainState, strategy: tf.distribute.Strategy) -> tf.types.experimental.PolymorphicFunction:
    """Returns a traced function that makes several steps.

    It takes the batch of the first step, the batches after it and the number of steps, and returns each metric as
    float32 [steps] and the batch of the step to come.
    """
    # TensorFlow has no clock where its operations are deterministic; what is waited for is then not known.
    now = (lambda: tf.constant(0.0, tf.float64)) if state.config.run.deterministic else tf.timestamp

    step = tf.function(train_step, jit_compile=True) if state.config.run.xla else train_step

    @tf.function
    def several(batch: tuple, batches: Iterator, count: tf.Tensor) -> tuple[dict[str, tf.Tensor], tuple]:
        history = tf.TensorArray(tf.float32, size=count)
        names: list[str] = []
        for index in tf.range(count):
            metrics = strategy.run(step, args=(state, batch))
            metrics = {name: strategy.experimental_local_results(value)[0] for name, value in metrics.items()}
            state.step.assign_add(1)
            batch = next(batches)  # while the step computes
            with tf.control_dependencies(list(metrics.values())):
                done = now()
            with tf.control_dependencies([done, *tf.nest.flatten(batch, expand_composites=True)]):
                metrics["seconds_waiting"] = tf.cast(now() - done, tf.float32)
            names[:] = metrics
            history = history.write(index, tf.stack([tf.cast(value, tf.float32) for value in metrics.values()]))
        return dict(zip(names, tf.unstack(tf.transpose(history.stack()), num=len(names)), strict=True)), batch

    return several


def _agreement(strategy: tf.distribute.Strategy) -> Callable[[bool], bool]:
    """Returns a function that all workers call together, and that is true of all as soon as one of them says so."""

    def of_replica(wish: tf.Tensor) -> tf.Tensor:
        return distribution.all_reduce(tf.identity(wish))  # the copy lies on the replica's device

    @tf.function
    def total(wish: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(of_replica, args=(wish,)))[0]

    return lambda wish: bool(total(tf.constant(float(wish))) > 0)


def _steps_until_next_event(config: Config, step: int) -> int:
    run = config.run
    to_event = [every - step % every for every in (run.log_every_steps, run.checkpoint_every_steps)]
    return min(run.steps_per_call, run.num_steps - step, *to_event)
