"""Fine-tunes a network on labelled images and measures its accuracy; the same command continues a stopped run.

Low-shot learning is the same with a part of the labels. export.py and robustness.py accept RUN_DIR/classifier.keras.
"""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf
from absl import flags

from seer_tf import config as configs
from seer_tf.cli import command, strategy_flags
from seer_tf.cli.training import end_unfinished
from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.places import with_absolute_places
from seer_tf.data.sources.registry import check_source, grammar
from seer_tf.distributed.rendezvous import rendezvous
from seer_tf.distributed.strategy import is_chief, make_strategy
from seer_tf.errors import InputError
from seer_tf.evaluation.features.labelled import named
from seer_tf.evaluation.protocols.classification import among_first, classify
from seer_tf.evaluation.published_results import FINE_TUNING
from seer_tf.evaluation.result import HEADER, UNCOVERED, EvaluationResult, add_to_file, mean_interval
from seer_tf.files import storage
from seer_tf.files.atomic import atomic_file, check_directory
from seer_tf.finetuning import config as finetune_config
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.finetuning.labelled_images import LabelledImages, labelled_images
from seer_tf.finetuning.recipes import RECIPES, recipe
from seer_tf.finetuning.task import check_fit, fine_tune, trained_classifier
from seer_tf.models.tasks.classifier import ImageClassifier
from seer_tf.networks.load import CLASSIFIER_FILE, check_network, load_network
from seer_tf.networks.network import Network
from seer_tf.quantities import counted
from seer_tf.training.logger import LogOptions
from seer_tf.training.preemption import lost_workers_named
from seer_tf.training.run_directory import RunDirectory, moves_named

RECIPE = command.required(flags.DEFINE_enum("recipe", None, list(RECIPES), "Named config to start from."))
MODEL = flags.DEFINE_string("model", None, "A run, a checkpoint, a conversion or a .keras file to start from.")
UNTRAINED = flags.DEFINE_bool("untrained", None, "Use the same network with fresh weights. [the recipe's]")
TRAIN_DATA = flags.DEFINE_string("train_data", None, f"Labelled images to learn from: {grammar()}. [the recipe's]")
TEST_DATA = flags.DEFINE_string("test_data", None, "Labelled images to measure the accuracy on. [the recipe's]")
FRACTION = flags.DEFINE_float("fraction", None, "Share of each class's images to learn from. [the recipe's]")
SUBSET_LIST = flags.DEFINE_string("subset_list", None, "File with the names of the images to learn from, one per line.")
SEED = flags.DEFINE_integer("seed", None, "Seed of subset, weights, order and augmentation. [the recipe's]")
SET = flags.DEFINE_multi_string("set", [], "Set a field: section.field=value. Repeatable.")
LOG_JSON = flags.DEFINE_string("log_json", None, "File for the numbers of the log, one JSON object per line.")
SHOW_CONFIG = flags.DEFINE_bool("show_config", False, "Print the resolved config and exit.")
RUN_DIR = command.required(
    flags.DEFINE_string("run_dir", None, "Directory of a new run or one to continue; not needed with --show_config."),
    unless=SHOW_CONFIG,
)

flags.adopt_module_key_flags(strategy_flags)

_METRIC = "top-1"


def resolved_config() -> FinetuneConfig:
    """Returns the validated config: the recipe with all flags applied. Its length may still depend on the images."""
    fields = {
        "data.train": TRAIN_DATA.value,
        "data.test": TEST_DATA.value,
        "data.fraction": FRACTION.value,
        "data.subset_list": SUBSET_LIST.value,
        "classifier.untrained": UNTRAINED.value,
        "run.init_from": MODEL.value,
        "run.seed": SEED.value,
    }
    assignments = [f"{field}={value}" for field, value in fields.items() if value is not None]
    config = configs.override(recipe(RECIPE.value), [*SET.value, *assignments])
    return with_absolute_places(configs.validate(config))


def check_first(config: FinetuneConfig, directory: RunDirectory) -> None:
    """Checks paths and names, before any image is read.

    Raises:
        InputError: A path or a name is wrong.
    """
    directory.check_place()
    if directory.holds_a_run() and not config.run.num_steps:  # the images determine the number of steps
        begun = directory.read_config_of(FinetuneConfig)
        directory.check(configs.override(config, [f"run.num_steps={begun.run.num_steps}"]))
    if not config.run.init_from:
        raise InputError(
            "--model is missing: a run, a checkpoint, a converted directory or a .keras file to start from"
        )
    with moves_named(directory, "model"):
        check_network(config.run.init_from)
    if LOG_JSON.value is not None:
        check_directory(pathlib.Path(LOG_JSON.value).parent)
    if config.data.subset_list and not storage.is_file(config.data.subset_list):
        raise InputError(
            f"--subset_list={config.data.subset_list} is not a file; give a text file with one image per line"
        )
    for data, flag in ((config.data.train, "train_data"), (config.data.test, "test_data")):
        with moves_named(directory, flag):
            check_source(data)
    if config.data.train == config.data.test:
        raise InputError(
            f"--train_data and --test_data are both {config.data.test}, so the accuracy would say nothing about new "
            "images; give other images for one of the two"
        )


def main() -> None:
    """Runs the command."""
    config = resolved_config()
    if SHOW_CONFIG.value:
        print(configs.to_text(config))
        return
    directory, cluster = RunDirectory(RUN_DIR.value), strategy_flags.cluster()
    with rendezvous(cluster, timeout_seconds=strategy_flags.MEETING_SECONDS.value) as facts:
        placement = strategy_flags.placement(cluster)
        check_first(config, directory)
        data = labelled_images(config.data, seed=config.run.seed)
        config = finetune_config.with_length(config, data.train.num_images)
        check_fit(config, data.train, placement.num_replicas)
        images = data.identity()
        directory.check(config, images)
        facts.update(directory.facts(config, images), **placement.facts())
    with lost_workers_named(cluster):
        if config.run.deterministic:
            tf.config.experimental.enable_op_determinism()
        strategy = make_strategy(placement)
        network = _network(config)
        if is_chief(strategy) and not directory.holds_a_run():
            data.without_shared()  # Says so now what will be left out at the end.
        json_file = pathlib.Path(LOG_JSON.value) if LOG_JSON.value else None
        outcome = fine_tune(
            config,
            data.train,
            data.class_names,
            network.backbone,
            network.head,
            directory,
            strategy,
            LogOptions(json_file=json_file),
            images,
        )
    end_unfinished(outcome, directory, config.run.num_steps)
    if is_chief(strategy):
        _finish(config, data, network, directory)


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
            f"{config.run.init_from} was trained with another normalisation of the images: add "
            f"--set crops.mean={mean} --set crops.std={std}"
        )
    return network


def _finish(config: FinetuneConfig, data: LabelledImages, network: Network, directory: RunDirectory) -> None:
    """Writes the classifier, measures its accuracy, and prints and keeps the result."""
    classifier = trained_classifier(config, data.class_names, network.backbone, network.head, directory)
    _save(classifier, directory.path / CLASSIFIER_FILE)
    data = data.without_shared()
    outcome = _outcome(config, data, classify(classifier, data.test))
    file = directory.path / "evaluations.jsonl"
    if not file.exists() or outcome.to_json() not in file.read_text("utf-8").splitlines():
        add_to_file(outcome, file)
    print(
        f"{directory.path / CLASSIFIER_FILE}: {counted(config.run.num_steps, 'step')} done, "
        f"{counted(len(data.class_names), 'class')}"
    )
    if data.uncovered():
        print(f"Not covered: {counted(len(data.uncovered()), 'class')} without a test image: {named(data.uncovered())}")
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}\n{outcome.to_markdown()}")
    print(outcome.to_json(), flush=True)


def _save(classifier: ImageClassifier, path: pathlib.Path) -> None:
    with atomic_file(path) as unfinished:
        classifier.save(unfinished)


def _outcome(config: FinetuneConfig, data: LabelledImages, logits: np.ndarray) -> EvaluationResult:
    right = among_first(logits, data.test_labels, 1)
    details = {"top1": float(right.mean()), "steps": config.run.num_steps, "config": configs.to_json(config)}
    if data.uncovered():
        details[UNCOVERED] = data.uncovered()
    if len(data.class_names) > 5:
        details["top5"] = float(among_first(logits, data.test_labels, 5).mean())
    return EvaluationResult(
        evaluation=FINE_TUNING,
        protocol=_protocol(config, data),
        metric=_METRIC,
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
