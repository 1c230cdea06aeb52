"""The loop around the step: data in, several steps per call, numbers out, checkpoints, a clean end."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import tensorflow as tf

from seer_tf.config import AnyConfig, BaseConfig
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.distributed import collectives
from seer_tf.distributed.strategy import is_chief
from seer_tf.errors import InputError
from seer_tf.quantities import counted
from seer_tf.stop_signals import StopSignals
from seer_tf.training import retries
from seer_tf.training.checkpoints import Checkpoints
from seer_tf.training.logger import Logger
from seer_tf.training.preemption import Agreement, exhausted_memory_named
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.skipped_steps import check_skipped
from seer_tf.training.state import RunState
from seer_tf.training.step import checked_tensors

State = TypeVar("State", bound=RunState)

_ANSWER = "the run finishes the current steps, saves a checkpoint and ends; a second signal ends it without saving"


@dataclasses.dataclass(frozen=True)
class RunResult:
    """How a call of `pretrain` ended.

    Attributes:
        step: Total number of steps that the run has made.
        stopped_by: Name of the signal that ended the call, perhaps during the last step; None if none did.
    """

    step: int
    stopped_by: str | None


@dataclasses.dataclass(frozen=True)
class Task(Generic[State]):
    """A kind of training, as the loop sees it.

    Attributes:
        config: Run configuration.
        state: Creates the state that a step changes; called inside the scope of the strategy.
        initialize: Gives a new state the values from the places that the config names, if it names any.
        batches: Returns the endless dataset of global batches from a given step on. Each replica gets its slice of it.
        step: One step on one replica. It takes the state and the replica's slice, and returns scalars by name, which
            are equal on every replica.
        log: Opens the log of the values that the steps return; it receives the first slice of the first batch.
        remedy: What the user should change if numbers are not finite.
        images: Identity of the images (`Source.identity`) by config field.
    """

    config: BaseConfig
    state: Callable[[], State]
    initialize: Callable[[State], None]
    batches: Callable[[int, tf.distribute.Strategy], tf.data.Dataset | tf.distribute.DistributedDataset]
    step: Callable[[State, Any], dict[str, tf.Tensor]]
    log: Callable[[State, Any], Logger]
    remedy: str
    images: Mapping[str, str]


def run(
    task_of: Callable[[AnyConfig], Task[State]],
    config: AnyConfig,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy,
) -> RunResult:
    """Runs a task to its end, from the newest checkpoint in the run directory or from the beginning.

    With `run.on_trouble=recover`, a run in trouble starts again with other settings, at most `retries.MOST` times.

    Args:
        task_of: Takes the config of an attempt, and returns the task.
        config: Run configuration.
        directory: Run directory.
        strategy: Strategy over the devices.

    Raises:
        InputError: The directory belongs to another run, another process writes to it, there is no space, or the run
            fails a health check and `run.on_trouble` says to stop.
    """
    images = task_of(config).images
    claimed = directory.claimed(config, images) if is_chief(strategy) else contextlib.nullcontext()
    with StopSignals(_ANSWER) as stop, claimed:
        result = None
        while result is None:
            task = task_of(retries.with_retries(config, retries.read_retries(directory)))
            result = _attempt(task, directory, strategy, stop)
        return result


def check_batch(config: BaseConfig, batch: int, num_images: int, data: str, num_replicas: int) -> None:
    """Raises an error if the batch size does not fit the number of images or the number of devices.

    Args:
        config: Run configuration.
        batch: Images per step over all replicas.
        num_images: Number of images.
        data: Name of the images for messages.
        num_replicas: Number of devices over all workers.

    Raises:
        InputError: The batch size does not fit. The message names the field to change.
    """
    if batch > num_images:
        raise InputError(
            f"data.global_batch_size={batch} is larger than {data}, which has {counted(num_images, 'image')}; "
            f"lower it, e.g. `data.global_batch_size={max(1, num_images // 2)}`"
        )
    if batch % num_replicas:
        raise InputError(
            f"data.global_batch_size={batch} cannot be divided by {num_replicas} replicas; "
            f"take e.g. `data.global_batch_size={max(1, batch // num_replicas) * num_replicas}`"
        )
    images, parts = batch // num_replicas, config.run.accumulation_steps
    if images % parts:
        raise InputError(
            f"run.accumulation_steps={parts} does not divide the batch of each replica, {counted(images, 'image')}; "
            "take a divisor"
        )
    if config.run.xla and num_replicas > 1:
        raise InputError(
            f"`run.xla` compiles the step of one device, but there are {num_replicas} replicas, and compiled sums over "
            "replicas fail on CPUs and were never tried on GPUs; leave out `run.xla`, or take `strategy=one_device`"
        )
    collectives.num_groups(num_replicas, group_replicas=config.run.batch_norm_group_replicas)  # or raises


def _attempt(
    task: Task[State], directory: RunDirectory, strategy: tf.distribute.Strategy, stop: StopSignals
) -> RunResult | None:
    """Runs one attempt from its newest checkpoint to its end; returns None if the attempt was given up."""
    with exhausted_memory_named(), strategy.scope():
        state = task.state()
    checkpoints = Checkpoints(directory, state)
    if not checkpoints.restore_latest():
        task.initialize(state)
    step = int(state.step.numpy())
    if step == task.config.run.num_steps:
        return RunResult(step, stopped_by=None)
    with unreadable_images_named():
        batches = iter(task.batches(step, strategy))
        batch = next(batches)
        agreement = Agreement(strategy)
        log = None
        with agreement.failure_held():
            own = tf.nest.map_structure(lambda part: strategy.experimental_local_results(part)[0], batch)
            log = task.log(state, own) if is_chief(strategy) else None
        if agreement.reached(wish=stop.received is not None):
            return _stopped(step, stop)
        return _train(task, state, strategy, batch, batches, checkpoints, log, agreement, stop)


def _train(
    task: Task[State],
    state: State,
    strategy: tf.distribute.Strategy,
    batch: tuple,
    batches: Iterator,
    checkpoints: Checkpoints,
    log: Logger | None,
    agreement: Agreement,
    stop: StopSignals,
) -> RunResult | None:
    """Makes the remaining steps, until a worker wishes to stop. Only the chief has a log and saves checkpoints.

    Returns:
        The result; None if the attempt was given up.
    """
    run, step = state.config.run, int(state.step.numpy())
    advance = steps_function(state, strategy, task.step)
    with exhausted_memory_named():
        # Builds the graph without a step, so that the first measured speed is the speed of training.
        advance(batch, batches, tf.constant(0))
    with log or contextlib.nullcontext():
        stopping = agreement.reached(wish=stop.received is not None)
        while step < run.num_steps and not stopping:
            count = _steps_until_next_event(state.config, step)
            with exhausted_memory_named():
                metrics, batch = advance(batch, batches, tf.constant(count))
            check_skipped(
                metrics["skipped_in_a_row"].numpy(),
                metrics["first_bad"].numpy(),
                step,
                checked_tensors(state),
                task.remedy,
            )
            step += count
            with agreement.failure_held():
                if log:
                    log.add(step, metrics)
                checkpoints.check()
                if log and log.problems and run.on_trouble == "stop":
                    raise InputError(f"step {step}: {log.problems[0]}; to continue anyway, give `run.on_trouble=warn`")
            if run.on_trouble == "recover":
                problem = log.remedy() if log else None
                if agreement.reached(wish=problem is not None):
                    with agreement.failure_held():
                        checkpoints.wait()
                        if log and problem:
                            log.give_up(problem)
                    agreement.reached(wish=False)  # no worker starts again before the chief has noted why
                    return None
            stopping = agreement.reached(wish=stop.received is not None)
            with agreement.failure_held():
                if log and (stopping or step % run.checkpoint_every_steps == 0 or step == run.num_steps):
                    log.keep()
                    checkpoints.save(log.quality)
        with agreement.failure_held():
            checkpoints.wait()
        agreement.reached(wish=False)  # no worker leaves before the chief has saved
    return _stopped(step, stop) if stopping else RunResult(step, stopped_by=None)


def _stopped(step: int, stop: StopSignals) -> RunResult:
    return RunResult(step, stop.received or "a signal to another worker")


def distributed_batches(
    of_worker: Callable[[int, int], tf.data.Dataset], global_batch_size: int, strategy: tf.distribute.Strategy
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Returns the endless dataset of global batches. Each replica gets its slice, in the order of the replicas.

    Args:
        of_worker: Takes the number of images per batch on a worker and the first position of its slice. Returns the
            worker's endless dataset.
        global_batch_size: Images per batch over all workers.
        strategy: Strategy over the replicas.
    """

    def of_pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = global_batch_size // context.num_input_pipelines
        batches = of_worker(local, context.input_pipeline_id * local)
        of_replica = global_batch_size // context.num_replicas_in_sync
        if of_replica < local:
            batches = batches.rebatch(of_replica, drop_remainder=True)  # replicas take one element each, in turn
        return batches.repeat()  # marks the dataset as endless; otherwise hosts would ask one another in each step

    return strategy.distribute_datasets_from_function(of_pipeline)


def steps_function(
    state: RunState, strategy: tf.distribute.Strategy, step_of_replica: Callable[..., dict[str, tf.Tensor]]
) -> tf.types.experimental.PolymorphicFunction:
    """Returns a traced function that makes several steps.

    The function takes the batch of the first step, an iterator over the following batches and the number of steps. It
    returns each metric as float32 [steps], and the batch of the next step.
    """
    # TensorFlow's clock does not work with deterministic operations, so the waiting time is then unknown.
    now = (lambda: tf.constant(0.0, tf.float64)) if state.config.run.deterministic else tf.timestamp

    step = tf.function(step_of_replica, jit_compile=True) if state.config.run.xla else step_of_replica
    gpus = tf.config.list_logical_devices("GPU")
    alone = strategy.num_replicas_in_sync == 1  # the batches of several replicas are on their devices already

    def following(batches: Iterator) -> tuple:
        batch = next(batches)
        if not (gpus and alone):
            return batch
        with tf.device(gpus[0].name):  # copied while the step computes
            return tf.nest.map_structure(tf.identity, batch)

    @tf.function
    def several(batch: tuple, batches: Iterator, count: tf.Tensor) -> tuple[dict[str, tf.Tensor], tuple]:
        history = tf.TensorArray(tf.float32, size=count)
        names: list[str] = []
        for index in tf.range(count):
            metrics = strategy.run(step, args=(state, batch))
            metrics = {name: strategy.experimental_local_results(value)[0] for name, value in metrics.items()}
            state.step.assign_add(1)
            batch = following(batches)  # while the step computes
            with tf.control_dependencies(list(metrics.values())):
                done = now()
            with tf.control_dependencies([done, *tf.nest.flatten(batch, expand_composites=True)]):
                metrics["seconds_waiting"] = tf.cast(now() - done, tf.float32)
            names[:] = metrics
            history = history.write(index, tf.stack([tf.cast(value, tf.float32) for value in metrics.values()]))
        return dict(zip(names, tf.unstack(tf.transpose(history.stack()), num=len(names)), strict=True)), batch

    return several


def _steps_until_next_event(config: BaseConfig, step: int) -> int:
    run = config.run
    to_event = [every - step % every for every in (run.log_every_steps, run.checkpoint_every_steps)]
    return min(run.steps_per_call, run.num_steps - step, *to_event)
