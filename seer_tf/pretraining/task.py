"""Pretraining as a task of the engine: images without labels in, a backbone out."""

import functools
from collections.abc import Callable

import tensorflow as tf

from seer_tf.config import DataConfig, PretrainingConfig
from seer_tf.data.pipelines import read
from seer_tf.data.pipelines.order import Order, blocks_at, images_at
from seer_tf.data.pipelines.pretraining import Batch, distorted, pretraining_dataset
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.errors import InputError
from seer_tf.pretraining.logger import PretrainingLogger, PretrainingLogOptions
from seer_tf.pretraining.registry import Method, find_method
from seer_tf.pretraining.warm_start import initialize
from seer_tf.training.loop import RunResult, Task, check_batch, distributed_batches, run
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.state import RunState


def pretrain(
    config: PretrainingConfig,
    source: Source,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy | None = None,
    log_options: Callable[[], PretrainingLogOptions] = PretrainingLogOptions,
) -> RunResult:
    """Pretrains to the end, from the newest checkpoint in the run directory or from the beginning.

    With several workers each worker calls this function. All of them must see the directory; only the chief writes it.

    Args:
        config: Run configuration.
        source: Source of the images.
        directory: Run directory.
        strategy: Strategy over the devices; None for one device.
        log_options: Returns the optional outputs of the log. Only the chief calls it.

    Raises:
        InputError: There are too few images for the config, the batch cannot be divided by the replicas, the directory
            belongs to another run, another process writes to it, there is no space, or a health check fails and
            `run.on_trouble` says to stop.
    """
    method = find_method(config.method)
    images = identity(source)

    def task_of(config: PretrainingConfig) -> Task[RunState]:
        def log(state: RunState, batch: Batch) -> PretrainingLogger:
            return method.logger(state, source, directory, distorted(batch, config.crops), log_options())

        return Task(
            config,
            state=lambda: _state(method, config),
            initialize=initialize,
            batches=lambda first_step, strategy: batches_from(first_step, config, source, strategy),
            step=method.step,
            log=log,
            remedy=method.remedy,
            images=images,
        )

    strategy = strategy or tf.distribute.get_strategy()
    check_fit(config, source, strategy.num_replicas_in_sync)
    return run(task_of, config, directory, strategy)


def _state(method: Method, config: PretrainingConfig) -> RunState:
    """Returns the initial state; raises an `InputError` if the crops are too small for the network."""
    state = method.state(config)
    state.model.backbone.check_size(min(config.crops.forward_sizes_px))
    return state


def identity(source: Source) -> dict[str, str]:
    """Returns the identity of the run's images by config field; the classes of the images do not count.

    Raises:
        InputError: `Source.identity` raises it.
    """
    return {"data.source": source.identity(with_classes=False)}


def check_fit(config: PretrainingConfig, source: Source, num_replicas: int) -> None:
    """Raises an error if config, images and devices do not fit together.

    Args:
        config: Run configuration.
        source: Source of the images.
        num_replicas: Number of devices over all workers.

    Raises:
        InputError: They do not fit. The message names the field to change.
    """
    if config.data.order == "blocks" and source.images_per_block == 1:
        raise InputError(
            f"data.order=blocks needs shards, and {config.data.source} has images that are read one by one; prepare "
            "shards of them, or set data.order=images"
        )
    check_batch(config, config.data.global_batch_size, source.num_images, config.data.source, num_replicas)
    find_method(config.method).check_images(config, source.num_images)


def batches_from(
    first_step: int, config: PretrainingConfig, source: Source, strategy: tf.distribute.Strategy
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Returns the endless dataset of global batches. Each replica gets its slice, in the order of the replicas.

    Args:
        first_step: Step of the first batch.
        config: Run configuration.
        source: Source of the images.
        strategy: Strategy over the replicas.
    """
    batch = config.data.global_batch_size

    def of_worker(local: int, first_image: int) -> tf.data.Dataset:
        images, order = in_order(config.data, source, local)
        return pretraining_dataset(
            ReplacingSource(images, config.data.max_bad_fraction),
            config.crops,
            local_batch_size=local,
            global_batch_size=batch,
            first_image_in_batch=first_image,
            seed=config.run.seed,
            first_step=first_step,
            distort_here=config.data.augment_on == "host",
            order=order,
        )

    return distributed_batches(of_worker, batch, strategy)


def in_order(config: DataConfig, source: Source, num_local: int) -> tuple[Source, Order]:
    """Returns the images as a worker reads them, and the order of a run.

    Args:
        config: Section of the config.
        source: Source of the images.
        num_local: Images per batch of this worker.
    """
    if config.order == "images":
        return source, images_at
    order = functools.partial(blocks_at, images_per_block=source.images_per_block, num_lanes=config.global_batch_size)
    return source.in_blocks(num_local + read.num_in_flight()), order
