"""Fine-tuning from labelled images to a classifier and its accuracy on other images."""

import dataclasses
import json
import os
import pathlib
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.api import tables
from seer_tf.api.images import Images, spec_of_run
from seer_tf.api.model import Model
from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.places import with_absolute_places
from seer_tf.data.sources.registry import check_source
from seer_tf.distributed.devices import Devices
from seer_tf.distributed.strategy import is_chief
from seer_tf.errors import InputError
from seer_tf.evaluation.protocols.classification import among_first, classify
from seer_tf.evaluation.published_results import FINE_TUNING
from seer_tf.evaluation.result import UNCOVERED, EvaluationResult, add_to_file, mean_interval
from seer_tf.files import jsonl, storage
from seer_tf.files.atomic import atomic_file, check_directory
from seer_tf.files.system_errors import takes_paths
from seer_tf.finetuning import config as finetune_config
from seer_tf.finetuning import recipes
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.finetuning.labelled_images import LabelledImages, labelled_images
from seer_tf.finetuning.task import check_fit, fine_tune, trained_classifier
from seer_tf.models.tasks.classifier import ImageClassifier
from seer_tf.networks.load import CLASSIFIER_FILE, check_network, load_network
from seer_tf.networks.network import Network
from seer_tf.quantities import counted
from seer_tf.training.logger import LogOptions, OnLog
from seer_tf.training.loop import RunResult
from seer_tf.training.run_directory import RunDirectory, moves_named
from seer_tf.training.workers import Opened, begun_run


class Outcome(NamedTuple):
    """The end of a run.

    Attributes:
        run: How the run ended.
        num_steps: Length of the whole run.
        result: Accuracy; None if a signal stopped the run, or on a worker that is not the chief.
    """

    run: RunResult
    num_steps: int
    result: EvaluationResult | None


@dataclasses.dataclass(frozen=True)
class Finetuning:
    """A request to fine-tune.

    Attributes:
        config: Validated config. Its length may still depend on the images.
        run_dir: Run directory.
        devices: Devices and hosts.
        log_json: File for the numbers of the log.
        on_log: Function that receives the step and the numbers at the end of each interval of the log.
    """

    config: FinetuneConfig
    run_dir: str
    devices: Devices = Devices()
    log_json: str | None = None
    on_log: OnLog | None = None

    def run(self) -> Outcome:
        """Trains to the end, from the newest checkpoint or from the beginning, and measures the accuracy.

        Raises:
            InputError: `finetuning.task.fine_tune` raises it, or a path or a device is wrong.
            LostWorkerError: Another worker no longer answers.
        """
        directory = RunDirectory(self.run_dir)

        def opened_for(num_replicas: int) -> Opened[FinetuneConfig, LabelledImages]:
            self._check_first(directory)
            data = labelled_images(self.config.data, seed=self.config.run.seed)
            config = finetune_config.with_length(self.config, data.train.num_images)
            check_fit(config, data.train, num_replicas)
            return Opened(config, data, data.identity())

        with begun_run(self.devices, directory, opened_for) as (strategy, opened):
            config, data = opened.config, opened.data
            network = _network(config)
            if is_chief(strategy) and not directory.holds_a_run():
                data.without_shared()  # Says so now what will be left out at the end.
            log = LogOptions(pathlib.Path(self.log_json) if self.log_json else None, on_log=self.on_log)
            parts = (data.class_names, network.backbone, network.head, directory)
            ended = fine_tune(config, data.train, *parts, strategy, log, opened.images)
        is_finished = ended.stopped_by is None and is_chief(strategy)
        result = _finish(config, data, network, directory) if is_finished else None
        return Outcome(ended, config.run.num_steps, result)

    def _check_first(self, directory: RunDirectory) -> None:
        """Checks paths and names, before any image is read.

        Raises:
            InputError: A path or a name is wrong.
        """
        config, data = self.config, self.config.data
        directory.check_place()
        if directory.holds_a_run() and not config.run.num_steps:  # the images determine the number of steps
            begun = directory.read_config_of(FinetuneConfig)
            directory.check(configs.override(config, [f"run.num_steps={begun.run.num_steps}"]))
        if not config.run.init_from:
            raise InputError(
                "`model` is missing: a run, a checkpoint, a converted directory or a .keras file to start from"
            )
        with moves_named(directory, "model"):
            check_network(config.run.init_from)
        if self.log_json is not None:
            check_directory(pathlib.Path(self.log_json).parent)
        if data.subset_list and not storage.is_file(data.subset_list):
            raise InputError(
                f"`data.subset_list={data.subset_list}` is not a file; give a text file with one image per line"
            )
        for spec, argument in ((data.train, "train"), (data.test, "test")):
            with moves_named(directory, argument):
                check_source(spec)
        if data.train == data.test:
            raise InputError(
                f"`train` and `test` are both {data.test}, so the accuracy would say nothing about new "
                "images; give other images for one of the two"
            )


class Classifier(Model):
    """A fine-tuned network.

    Attributes:
        path: Run directory.
        result: Accuracy on the test images; None if a signal stopped the run.
        stopped_by: Name of the signal that stopped the run early; None if no signal stopped it.
    """

    def __init__(self, path: str, result: EvaluationResult | None, stopped_by: str | None) -> None:
        """Takes a run directory and how the run ended; user code calls `finetune` instead."""
        super().__init__(path)
        self.result, self.stopped_by = result, stopped_by

    def __repr__(self) -> str:
        """Returns the path, and the accuracy or the signal."""
        return f"<Classifier {self.path}, {self._end()}>"

    def _repr_html_(self) -> str:
        """Returns the accuracy and the settings as a table."""
        rows = {} if self.result is None else {"protocol": self.result.protocol, "test data": self.result.test_data}
        return tables.facts({"classifier": self.path, "end": self._end(), **rows})

    def _end(self) -> str:
        if self.result is None:
            return f"stopped by {self.stopped_by}"
        low, high = (100 * end for end in self.result.interval or (self.result.value,) * 2)
        return f"{self.result.metric} {100 * self.result.value:.1f} % ({low:.1f} to {high:.1f})"


@takes_paths
def finetune(
    model: str | os.PathLike[str],
    run_dir: str | os.PathLike[str],
    *,
    train: Images,
    test: Images,
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    num_devices: int | None = None,
    on_log: OnLog | None = None,
) -> Classifier:
    """Fine-tunes a network on labelled images and measures its accuracy. The same call continues a stopped run.

    Args:
        model: A run, one of its checkpoints, a conversion, a `.keras` file, or a model from `load`.
        run_dir: Directory of a new run or one to continue.
        train: Labelled images to learn from: a folder with a sub-folder for each class, another data spec, a pair of
            uint8 `[N, h, w, 3]` and labels `[N]`, or a `tf.data.Dataset` of such pairs. Arrays and datasets are written
            into the run directory as shards.
        test: Labelled images to measure the accuracy on, likewise.
        recipe: Name of a recipe, e.g. finetune_small.
        settings: Fields of the config to set, by `section.field`, e.g. `{"data.fraction": 0.1}`.
        num_devices: Number of devices in this host; if None, all GPUs, or one device without GPUs.
        on_log: Function that receives the step, and the numbers by name, every `run.log_every_steps` steps.

    Returns:
        The classifier with its accuracy.

    Raises:
        InputError: An argument is wrong, or the run fails a health check.
    """
    if threading.current_thread() is not threading.main_thread():
        raise InputError("finetune runs in the main thread only, which alone can answer signals; call it there")
    start, directory = recipes.recipe(recipe), os.fspath(run_dir)
    place = os.path.expanduser(os.fspath(model))
    run = RunDirectory(directory)
    with spec_of_run(train, run, "train") as train_spec, spec_of_run(test, run, "test") as test_spec:
        values = {**(settings or {}), "data.train": train_spec, "data.test": test_spec, "run.init_from": place}
        assignments = [f"{field}={configs.format_value(value)}" for field, value in values.items()]
        config = with_absolute_places(configs.validate(configs.override(start, assignments)))
        request = Finetuning(config, directory, Devices(num_devices=num_devices), on_log=on_log)
        outcome = request.run()
    return Classifier(directory, outcome.result, outcome.run.stopped_by)


def _network(config: FinetuneConfig) -> Network:
    """Returns the network to start from, in the memory of the host.

    Raises:
        InputError: The network cannot be read, or it was trained with another normalisation than the config's.
    """
    with tf.device("CPU:0"):
        network = load_network(config.run.init_from)
    if (tuple(network.mean), tuple(network.std)) != (config.crops.mean, config.crops.std):
        mean, std = (",".join(map(str, values)) for values in (network.mean, network.std))
        raise InputError(
            f"{config.run.init_from} was trained with another normalisation of the images: add `crops.mean={mean}` "
            f"and `crops.std={std}`"
        )
    return network


def _finish(
    config: FinetuneConfig, data: LabelledImages, network: Network, directory: RunDirectory
) -> EvaluationResult:
    """Writes the classifier, measures its accuracy, and keeps the result."""
    classifier = trained_classifier(config, data.class_names, network.backbone, network.head, directory)
    _save(classifier, directory.path / CLASSIFIER_FILE)
    data = data.without_shared()
    result = _result(config, data, classify(classifier, data.test))
    file = directory.path / "evaluations.jsonl"
    if not file.exists() or json.loads(result.to_json()) not in jsonl.read_complete(file):
        add_to_file(result, file)
    return result


def _save(classifier: ImageClassifier, path: pathlib.Path) -> None:
    with atomic_file(path) as unfinished:
        classifier.save(unfinished)


def _result(config: FinetuneConfig, data: LabelledImages, logits: np.ndarray) -> EvaluationResult:
    right = among_first(logits, data.test_labels, 1)
    details = {"top1": float(right.mean()), "steps": config.run.num_steps, "config": configs.to_json(config)}
    if data.uncovered():
        details[UNCOVERED] = data.uncovered()
    if len(data.class_names) > 5:
        details["top5"] = float(among_first(logits, data.test_labels, 5).mean())
    return EvaluationResult(
        evaluation=FINE_TUNING,
        protocol=_protocol(config, data),
        metric="top-1",
        value=float(right.mean()),
        interval=mean_interval(right, seed=config.run.seed),
        model=f"{config.run.init_from}{' (untrained)' if config.classifier.untrained else ''}",
        train_data=config.data.train,
        test_data=config.data.test,
        num_train_images=data.train.num_images,
        num_test_images=data.test.num_images,
        num_classes=len(data.class_names),
        seed=config.run.seed,
        details=details,
    )


def _protocol(config: FinetuneConfig, data: LabelledImages) -> str:
    part = f"{config.data.fraction:.3g} of the labels, " if config.data.fraction < 1 else ""
    if config.data.subset_list:
        part = f"the images in {config.data.subset_list}, "
    epochs = config.run.num_steps * config.data.global_batch_size / data.train.num_images
    head = ", the head's first layer kept" if config.classifier.keep_first_head_layer else ""
    transform = Transform(**dataclasses.asdict(config.transform))
    length = counted(float(f"{epochs:.3g}"), "epoch")
    return f"{part}recipe {config.recipe}, {length} at {config.crops.sizes_px[0]} px{head}; {transform}"
