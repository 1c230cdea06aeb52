"""Measures the accuracy of one classifier on several test sets that have some of its classes.

ImageNet-A, -R and -Sketch are tfds:imagenet_a@test, tfds:imagenet_r@test and tfds:imagenet_sketch@test.
"""

from pathlib import Path

import numpy as np
from absl import flags

from seer_tf.cli import command
from seer_tf.data.sources.labelled import open_labelled
from seer_tf.data.sources.registry import check_source
from seer_tf.distributed.inference import Devices
from seer_tf.distributed.strategy import make_strategy, num_gpus, place
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import model_digest
from seer_tf.evaluation.features.feature_set import Extractor, FeatureSet
from seer_tf.evaluation.features.labelled import checked_labels
from seer_tf.evaluation.features.stages import Pooling
from seer_tf.evaluation.protocols.robustness import ClassMap, read_class_map, restricted_correct, right_classes
from seer_tf.evaluation.result import HEADER, EvaluationResult, add_to_file, mean_interval
from seer_tf.files.atomic import check_file
from seer_tf.networks.load import check_network, load_network
from seer_tf.networks.network import Network
from seer_tf.quantities import counted

MODEL = command.required(
    flags.DEFINE_string(
        "model", None, "A run of finetune.py, its classifier.keras, or a directory from convert_checkpoint.py."
    )
)
TEST_DATA = command.required(
    flags.DEFINE_multi_string("test_data", [], "Labelled images, e.g. folder:DIR. Repeatable.")
)
CLASS_MAP = flags.DEFINE_multi_string(
    "class_map",
    [],
    "CSV file with a test class and a classifier class on each line. Repeatable. [equal names]",
)
CLASS_NAMES = flags.DEFINE_string("class_names", None, "File with one class name per line. [the classifier's own]")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Number of images in a batch.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the bootstrap.", 0, 2**32 - 1)
RESULTS = flags.DEFINE_string("results", None, "File to which each result is added as a line of JSON.")

_LOGITS = "logits"


def main() -> None:
    """Runs the command."""
    if RESULTS.value is not None:
        check_file(RESULTS.value)
    for flag in TEST_DATA.value:
        check_source(flag)
    check_network(MODEL.value)
    class_map = read_class_map(*CLASS_MAP.value)
    devices = Devices(make_strategy(place("auto", None, None, num_gpus=num_gpus())))
    with devices.scope():
        network = load_network(MODEL.value)
        if CLASS_NAMES.value:
            network = network.with_class_names(Path(CLASS_NAMES.value))
        network = network.selected("classifier")
    extractor = _extractor(network, devices)
    sources = [open_labelled(flag) for flag in TEST_DATA.value]
    for source, flag in zip(sources, TEST_DATA.value, strict=True):
        _right_classes(extractor.announce(source, flag), network, class_map)  # raises early if classes do not match
    outcomes = [
        _outcome(extractor.extract(source, flag, label=flag), network, class_map)
        for source, flag in zip(sources, TEST_DATA.value, strict=True)
    ]
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    for outcome in outcomes:
        print(outcome.to_markdown())
    for outcome in outcomes:
        print(outcome.to_json(), flush=True)
        if RESULTS.value is not None:
            add_to_file(outcome, RESULTS.value)


def _extractor(network: Network, devices: Devices) -> Extractor:
    classifier = network.classifier
    if classifier is None:
        raise InputError(f"{MODEL.value} has no classifier; fine-tune it first")
    return Extractor(
        lambda images: {_LOGITS: classifier(network.features(network.normalize(images), training=False))},
        {_LOGITS: Pooling(1, 1, len(network.class_names))},
        MODEL.value,
        model_digest(network),
        network.transform,
        BATCH_SIZE.value,
        devices,
        network.metadata.get("training_steps"),
    )


def _right_classes(features: FeatureSet, network: Network, class_map: ClassMap) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels, int [N], and the correct classifier classes of each test class, bool [test classes, L]."""
    test_names, labels = checked_labels(features, features.origin.data)
    return labels, right_classes(network.class_names, test_names, labels, class_map)


def _outcome(features: FeatureSet, network: Network, class_map: ClassMap) -> EvaluationResult:
    labels, right = _right_classes(features, network, class_map)
    correct = restricted_correct(features.rows[_LOGITS][:], labels, right)
    num_classes = int(right[np.unique(labels)].any(axis=0).sum())
    return EvaluationResult(
        evaluation="robustness",
        protocol=f"among {num_classes} of {counted(len(network.class_names), 'class')}; {network.transform}",
        metric="top-1",
        value=float(correct.mean()),
        interval=mean_interval(correct, seed=SEED.value),
        model=features.origin.model,
        train_data=None,
        test_data=features.origin.data,
        num_train_images=0,
        num_test_images=features.num_images,
        num_classes=num_classes,
        seed=SEED.value,
        details={"top1": float(correct.mean())},
        digest=features.origin.digest,
        step=features.origin.step,
    )
