"""A network loads from every place that can hold a network."""

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from seer_tf import config as configs
from seer_tf.data.images.transform import Transform
from seer_tf.errors import InputError
from seer_tf.finetuning.recipes import recipe as finetune_recipe
from seer_tf.finetuning.state import build_classifier
from seer_tf.methods.swav.state import TrainState
from seer_tf.models import RegNetY
from seer_tf.models.backbones.regnet import published
from seer_tf.models.conversion import ConvertedNetwork
from seer_tf.models.tasks.classifier import ImageClassifier
from seer_tf.models.tasks.detector import with_stem_stride_2
from seer_tf.networks.load import backbone_metadata, load_network
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.checkpoints import Checkpoints
from seer_tf.training.run_directory import RunDirectory
from tests.exporting.tiny_network import CLASS_NAMES, NUM_FEATURES, SIZE_PX, tiny_network, under_seers_licence


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two checkpoints. The later checkpoint has larger prototypes."""
    directory = RunDirectory(tmp_path_factory.mktemp("run") / "run")
    config = recipe("debug_tiny")
    directory.claim(config)
    state = TrainState(config)
    checkpoints = Checkpoints(directory, state)
    for step, factor in ((3, 1.0), (7, 2.0)):
        state.step.assign(step)
        state.model.head.prototypes.assign(factor * state.model.head.prototypes)
        checkpoints.save()
        checkpoints.wait()
    return directory.path


@pytest.fixture(scope="module")
def classifier_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that fine-tuning writes."""
    network = tiny_network(dtype="mixed_float16")
    transform = {"size_px": 48, "resize_px": 48, "interpolation": "bicubic"}
    model = ImageClassifier(
        network.backbone, network.classifier, network.mean, network.std, CLASS_NAMES, transform=transform
    )
    path = tmp_path_factory.mktemp("classifier") / "classifier.keras"
    model.save(path)
    return path


def test_a_run_and_one_of_its_checkpoints_load(run):
    """A run without a named checkpoint gives its newest network."""
    newest, earlier = load_network(run), load_network(run / "checkpoints" / "step-3")
    config = recipe("debug_tiny")
    assert newest.metadata["training_steps"] == 7 and earlier.metadata["training_steps"] == 3
    np.testing.assert_allclose(newest.prototypes, 2.0 * earlier.prototypes)
    assert newest.transform == Transform(config.crops.sizes_px[0]) and newest.data == config.data.source
    assert newest.metadata["variant"] == config.backbone.variant and newest.classifier is None


def test_a_run_keeps_the_licence_of_its_initial_weights(run, tmp_path):
    """The licence comes from the newest checkpoint, or from the given checkpoint."""
    assert load_network(run).metadata["licence"] is None
    licensed = tmp_path / "run"
    shutil.copytree(run, licensed)
    (licensed / "checkpoints" / "step-7" / "about.json").write_text(json.dumps({"licence": published.LICENCE}))
    for place in (licensed, licensed / "checkpoints" / "step-7"):
        assert load_network(place).licence == load_network(place).metadata["licence"] == published.LICENCE
    assert load_network(licensed / "checkpoints" / "step-3").metadata["licence"] is None


def test_a_classifier_keeps_its_classes_and_its_transform(classifier_file, run):
    """The classifier loads from its file, or from the directory of its run."""
    network = load_network(classifier_file)
    assert network.class_names == CLASS_NAMES and network.transform == Transform(48, 48, "bicubic")
    images = np.random.default_rng(0).integers(0, 256, [2, SIZE_PX, SIZE_PX, 3], np.uint8)
    found = network.selected("classifier").on_images(images)["probabilities"]
    np.testing.assert_allclose(
        found, tiny_network().selected("classifier").on_images(images)["probabilities"], atol=1e-6
    )
    directory = RunDirectory(run.with_name("fine_tuned"))
    assignments = ["data.train=folder:TRAIN", "run.num_steps=40", "run.init_from=RUN"]
    directory.claim(configs.override(finetune_recipe("finetune_small"), assignments))
    with pytest.raises(
        InputError,
        match="without classifier.keras: finish the run, or give the network from which the run started, .*RUN",
    ):
        load_network(directory.path)
    shutil.copytree(run / "checkpoints", directory.checkpoints)
    with pytest.raises(InputError, match="is a checkpoint of fine-tuning: give the directory of the finished run"):
        load_network(directory.checkpoint(3))
    (directory.path / "classifier.keras").write_bytes(classifier_file.read_bytes())
    fine_tuned = load_network(directory.path)
    data = f"folder:{Path('TRAIN').absolute()}"  # configs hold absolute paths
    assert fine_tuned.class_names == CLASS_NAMES and fine_tuned.data == data
    told = {"recipe": "finetune_small", "training_data": data, "training_steps": 40}
    assert told.items() <= fine_tuned.metadata.items() and fine_tuned.metadata["variant"] == "400MF"


def test_a_converted_network_loads(tmp_path):
    """The network has backbone, head and classifier, with the preprocessing and the licence of the release."""
    tiny = tiny_network()
    assert tiny.head is not None and tiny.classifier is not None
    features = keras.Input((NUM_FEATURES,), name="features", dtype="float32")
    parts = dict(zip(("embeddings", "scores"), tiny.head(features), strict=True))
    converted = ConvertedNetwork(
        source="weights.torch",
        layout="VISSL",
        variant="32GF",
        backbone=under_seers_licence(tiny.backbone),
        swav_head=keras.Model(features, parts, name="swav_head"),
        classifier=keras.Model(features, tiny.classifier(features), name="classifier"),
        matched=("a",),
        unused=(),
    )
    converted.save(tmp_path)
    tiny.backbone.save(tmp_path / "model.keras")  # as from an earlier version, whose backbones carried no licence
    network = load_network(tmp_path)
    assert network.transform == Transform(384, 384, "bicubic") and network.mean == published.MEAN
    assert network.metadata["licence"] == published.LICENCE and "matched" not in network.metadata
    assert network.licence == published.LICENCE
    assert load_network(tmp_path / "model.keras").metadata["licence"] == published.LICENCE
    named = dataclasses.replace(network, class_names=CLASS_NAMES)
    crops = np.random.default_rng(0).normal(size=[2, SIZE_PX, SIZE_PX, 3]).astype(np.float32)
    for part in ("prototypes", "classifier"):
        expected = tiny.selected(part).on_crops(crops)
        for name, value in named.selected(part).on_crops(crops).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-6)


def test_a_backbone_alone_loads(tmp_path):
    """The backbone is a `.keras` file."""
    tiny_network().backbone.save(tmp_path / "backbone.keras")
    network = load_network(tmp_path / "backbone.keras")
    assert network.head is None and network.mean == published.MEAN and network.size_px == 224


def test_seers_licence_stays_with_every_network_from_its_weights(tmp_path):
    """The files are a backbone, a classifier that was fine-tuned from it, and a classifier with random weights."""
    tiny = tiny_network()
    backbone = under_seers_licence(tiny.backbone)
    backbone.save(tmp_path / "backbone.keras")
    for untrained, licence in ((False, published.LICENCE), (True, None)):
        config = configs.override(finetune_recipe("finetune_small"), [f"classifier.untrained={untrained}"])
        build_classifier(config, backbone, None, CLASS_NAMES).save(tmp_path / "classifier.keras")
        assert load_network(tmp_path / "classifier.keras").metadata["licence"] == licence
    whole = load_network(tmp_path / "backbone.keras")
    for network in (whole, whole.selected("backbone")):
        assert network.licence == network.metadata["licence"] == published.LICENCE
        assert network.metadata["attribution"] == published.ATTRIBUTION
    assert with_stem_stride_2(RegNetY("90MF", licence="CC0-1.0")).licence == "CC0-1.0"
    assert backbone_metadata(RegNetY("90MF", licence="CC0-1.0"))["licence"] == "CC0-1.0"


def test_files_without_a_network_are_refused(run, tmp_path):
    """Each error is one sentence."""
    (tmp_path / "model.keras").write_text("no model")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    whole = (tmp_path / "other.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(whole[: len(whole) // 2])
    flipped = bytes(byte ^ 255 for byte in whole[-2000:-1960])
    (tmp_path / "flipped.keras").write_bytes(whole[:-2000] + flipped + whole[-1960:])
    (tmp_path / "notes.txt").write_text("no network")
    damaged = tmp_path / "run" / "checkpoints" / "step-4"
    RunDirectory(tmp_path / "run").claim(recipe("debug_tiny"))
    damaged.mkdir(parents=True)
    cases = {
        tmp_path / "nowhere": "there is no file or directory .*nowhere",
        tmp_path / "notes.txt": "is no network: give the directory of a run",
        tmp_path / "other.keras": "holds a Sequential",
        tmp_path / "model.keras": "cannot be read as a Keras model: it is damaged or of another format",
        tmp_path / "half.keras": "cannot be read as a Keras model: it is damaged or of another format",
        tmp_path / "flipped.keras": "cannot be read as a Keras model: Bad CRC-32",
        tmp_path: "no readable metadata.json",
        run / "checkpoints" / "step-4": "there is no checkpoint of .* 'step-4': .*the valid ones are step-",
        damaged: "is damaged",
    }
    for path, sentence in cases.items():
        with pytest.raises(InputError, match=sentence):
            load_network(path)
    (tmp_path / "metadata.json").write_text("{}")
    with pytest.raises(InputError, match="no readable metadata.json"):
        load_network(tmp_path)
    (tmp_path / "metadata.json").write_text(json.dumps({"variant": "32GF"}))
    exported = tmp_path / "exported"
    exported.mkdir()
    (exported / "metadata.json").write_text(json.dumps({"variant": "400MF"}))
    tiny_network().selected("backbone").on_images.save(exported / "model.keras")
    with pytest.raises(InputError, match="model.keras holds a Functional and no backbone, as in an export"):
        load_network(exported)
    with pytest.raises(InputError, match="cannot be read as a Keras model"):
        load_network(tmp_path)
    empty = RunDirectory(tmp_path / "empty")
    empty.claim(recipe("debug_tiny"))
    with pytest.raises(InputError, match="has no checkpoint yet"):
        load_network(empty.path)
