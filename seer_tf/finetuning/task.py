"""Fine-tuning as a task of the training loop: from labelled images to a classifier."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from seer_tf.data.augment.mixing import RandAugment
from seer_tf.data.pipelines.supervised import supervised_dataset
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.finetuning.state import ClassifierState, build_classifier
from seer_tf.finetuning.step import ACCURACY, classifier_step
from seer_tf.models import Backbone, SwavHead
from seer_tf.models.tasks.classifier import ImageClassifier
from seer_tf.quantities import percent
from seer_tf.training import metrics
from seer_tf.training.checkpoints import in_float32, restore_newest
from seer_tf.training.health import COMMON_CHECKS, HealthMonitor
from seer_tf.training.logger import Logger, LogOptions
from seer_tf.training.loop import RunResult, Task, check_batch, distributed_batches, run
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.state import model_variables


def fine_tune(
    config: FinetuneConfig,
    source: Source,
    class_names: Sequence[str],
    backbone: Backbone,
    head: SwavHead | None,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy | None = None,
    log_options: LogOptions | None = None,
    images: Mapping[str, str] | None = None,
) -> RunResult:
    """Fine-tunes from the newest checkpoint of a run directory, or from the beginning, to the end.

    With several workers, each worker calls this function. All workers must see the directory; only the chief writes.

    Args:
        config: Run configuration, with its number of steps.
        source: Training images, with one class each.
        class_names: Names of the classes, in the order of the labels.
        backbone: Pretrained backbone.
        head: Projection head from pretraining, or None.
        directory: Run directory.
        strategy: Strategy over the devices; None for one device.
        log_options: Optional outputs of the log; None for none.
        images: `Source.identity` of all images that the config names, by field; None for those of `source` alone.

    Raises:
        InputError: `run` raises it, or the data does not fit the config.
    """
    strategy = strategy or tf.distribute.get_strategy()
    check_fit(config, source, strategy.num_replicas_in_sync)
    synchronized = strategy.num_replicas_in_sync > 1

    images = images or {"data.train": source.identity(with_classes=True)}

    def state() -> ClassifierState:
        return ClassifierState(config, build_classifier(config, backbone, head, class_names, synchronized=synchronized))

    def task_of(config: FinetuneConfig) -> Task[ClassifierState]:
        return Task(
            config,
            state=state,
            initialize=lambda _: None,  # the state already has the network's weights
            batches=lambda first_step, strategy: batches_from(first_step, config, source, strategy),
            step=classifier_step,
            log=lambda state, batch: FinetuningLogger(state, directory, batch[0], log_options or LogOptions()),
            remedy="lower schedule.peak_learning_rate",
            images=images,
        )

    return run(task_of, config, directory, strategy)


def trained_classifier(
    config: FinetuneConfig,
    class_names: Sequence[str],
    backbone: Backbone,
    head: SwavHead | None,
    directory: RunDirectory,
) -> ImageClassifier:
    """Returns the classifier from the newest checkpoint of a run, in float32 for one device.

    Args:
        config: Run configuration.
        class_names: Names of the classes, in the order of the labels.
        backbone: As in `fine_tune`; only its architecture matters.
        head: As in `fine_tune`; only its architecture matters.
        directory: Run directory.

    Raises:
        InputError: There is no readable checkpoint.
    """
    model = build_classifier(in_float32(config), backbone, head, class_names)
    if not restore_newest(model_variables(model), directory, strict=False):
        raise InputError(f"{directory.path} has no checkpoint yet; the same command writes one")
    return model


def check_fit(config: FinetuneConfig, source: Source, num_replicas: int) -> None:
    """Raises an error if config, images and devices do not fit together.

    Args:
        config: Run configuration.
        source: Training images.
        num_replicas: Number of devices over all workers.

    Raises:
        InputError: They do not fit together; the message names the field to change.
    """
    part = "" if config.data.fraction == 1 and not config.data.subset_list else "the chosen part of "
    data = part + config.data.train
    check_batch(config, config.data.global_batch_size, source.num_images, data, num_replicas)
    mixing = config.mixing
    if config.run.xla and (mixing.mixup_alpha or mixing.cutmix_alpha):
        raise InputError("run.xla does not work with MixUp or CutMix, whose draws XLA cannot compile; leave out one")


def batches_from(
    first_step: int, config: FinetuneConfig, source: Source, strategy: tf.distribute.Strategy
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Returns an endless dataset of batches of crops and labels. Each replica gets its slice of a global batch.

    Args:
        first_step: Step whose batch comes first.
        config: Run configuration.
        source: Training images.
        strategy: Strategy over the replicas.
    """
    batch, mixing = config.data.global_batch_size, config.mixing
    change = None
    if mixing.rand_augment_operations:
        change = RandAugment(mixing.rand_augment_operations, mixing.rand_augment_strength)

    def of_worker(local: int, first_image: int) -> tf.data.Dataset:
        assert source.labels is not None
        return supervised_dataset(
            source,
            source.labels,
            config.crops,
            local_batch_size=local,
            global_batch_size=batch,
            first_image_in_batch=first_image,
            seed=config.run.seed,
            first_step=first_step,
            change=change,
        )

    return distributed_batches(of_worker, batch, strategy)


class FinetuningLogger(Logger):
    """Shows the progress of fine-tuning and writes the measured numbers."""

    _state: ClassifierState

    def __init__(self, state: ClassifierState, directory: RunDirectory, images: tf.Tensor, options: LogOptions) -> None:
        """Opens the log at the step of the state.

        Args:
            state: State of the run.
            directory: Run directory.
            images: Images of the first batch, uint8 [B, side, side, 3].
            options: Optional outputs.

        Raises:
            InputError: The directory is not writable.
        """
        super().__init__(
            state,
            directory,
            HealthMonitor(state.config, COMMON_CHECKS),
            "fine-tuning",
            options,
            frozenset({ACCURACY}),
        )
        self._summaries.crops(self._step, (images[:, tf.newaxis],))

    def _measured(self, step: int, steps: Mapping[str, np.ndarray], seconds: float) -> dict[str, float]:
        """Returns the numbers of an interval, and writes the norms of all weights if diagnostics are due."""
        if self._diagnostics_are_due(step):
            norms = [float(tf.norm(tf.cast(weight, tf.float32))) for weight in self._state.model.trainable_variables]
            self._summaries.histograms(step, {"values/weight_norms": np.array(norms)})
        return metrics.interval_metrics(steps, seconds, self._state.config.data.global_batch_size)

    def _note(self, numbers: Mapping[str, float]) -> str:
        right = f"{percent(numbers[ACCURACY])} of the training crops right"
        return f"loss {numbers[metrics.LOSS]:.3f}, {right}, {self._speed(numbers)}"
