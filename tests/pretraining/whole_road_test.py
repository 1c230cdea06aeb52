"""Each kind of network on the whole road, which one fixture trains: `-k ResNet50` runs the road of one network.

The run has bfloat16, and two micro-batches in each step.
"""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import seer_tf
from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.data.pipelines.detection import BoxedImage, BoxedImages
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.protocols import detection
from seer_tf.exporting.exporter import export
from seer_tf.finetuning.recipes import recipe as finetuning_recipe
from seer_tf.finetuning.task import fine_tune, trained_classifier
from seer_tf.methods.swav.state import TrainState, initial_model
from seer_tf.methods.swav.step import train_step
from seer_tf.models.backbones.registry import build_backbone, checkpointing_kinds
from seer_tf.models.tasks.detector import Detector
from seer_tf.networks.load import load_network
from seer_tf.networks.network import Network
from seer_tf.pretraining.planning import plan, weight_sizes
from seer_tf.pretraining.recipes import recipe
from seer_tf.pretraining.task import pretrain
from seer_tf.training.run_directory import RunDirectory
from tests.class_folders import write_class_folders
from tests.repeated_step import assert_repeats_bit_for_bit
from tests.replicas import two_replicas
from tests.small_networks import random_crops, shared_out
from tests.three_layers import THREE_LAYERS, three_layers

pytestmark = pytest.mark.slow

_NETWORKS = {
    "RegNetY": "90MF",
    "OwnResNet50": "resnet50",
    **{
        name: f"keras.applications:{name}"
        for name in ("ResNet50", "EfficientNetV2B0", "ConvNeXtTiny", "MobileNetV3Small")
    },
    "ThreeLayers": THREE_LAYERS,
}
_STEPS = 2


@pytest.fixture(scope="module", params=_NETWORKS.values(), ids=list(_NETWORKS))
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a network. The working directory has the module of the network of three layers."""
    with contextlib.chdir(tmp_path_factory.mktemp("road")), three_layers():
        yield request.param


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Eight images with their classes."""
    folder = tmp_path_factory.mktemp("images")
    write_class_folders(folder, "train", range(8))
    return open_source(f"folder:{folder}")


@pytest.fixture(scope="module")
def config(variant: str, source: Source) -> Config:
    """The config of a complete run in RUN."""
    config = _config(variant, "run.precision=mixed_bfloat16", "run.accumulation_steps=2")
    assert pretrain(config, source, RunDirectory("RUN")).step == _STEPS
    return config


@pytest.fixture(scope="module")
def network(config: Config) -> Network:
    """The network of the run."""
    return load_network("RUN")


def _config(variant: str, *settings: str) -> Config:
    """Returns a config with steps of four images, two crops of each, and a checkpoint after each step."""
    fields = (
        f"backbone.variant={variant}",
        *("data.global_batch_size=4", "head.num_prototypes=5", "head.hidden_dims=16", "head.embedding_dim=8"),
        *("crops.num=2", "crops.sizes_px=32", "crops.min_area_fractions=0.4", "crops.max_area_fractions=1"),
        *("swav.freeze_prototypes_steps=1", "schedule.warmup_steps=1", "schedule.peak_learning_rate=0.1"),
        *(f"run.num_steps={_STEPS}", "run.steps_per_call=1", "run.log_every_steps=1"),
        *("run.checkpoint_every_steps=1", f"run.keep_checkpoints={_STEPS}"),
    )
    return configs.validate(configs.override(recipe("debug_tiny"), [*fields, *settings]))


def _noise(num_images: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, [num_images, side, side, 3]).astype(np.uint8)


def _labelled(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns twelve images of noise in two classes."""
    return _noise(12, 32, seed), np.arange(12) % 2


def test_a_run_trains_and_continues_bit_for_bit(config: Config, source: Source) -> None:
    """The state after a kill is that of the checkpoint before. The last step is repeated from there."""
    assert_repeats_bit_for_bit(config, source, RunDirectory("RUN"))


def test_the_plan_knows_the_network(config: Config, network: Network) -> None:
    sizes = [int(np.prod(weight.shape)) for weight in network.backbone.trainable_variables]
    found = plan(config, 1)
    assert found.backbone_parameters == sum(sizes) and set(sizes) <= set(weight_sizes(config))
    assert found.step_flops > 0 and found.memory.total > 0


def test_the_network_is_evaluated(config: Config) -> None:
    for protocol, settings in (("knn", {"stages": ("avgpool", "all_stages")}), ("linear_probe", {"recipe": "optimum"})):
        found = seer_tf.evaluate(
            "RUN", train=_labelled(0), test=_labelled(1), protocol=protocol, size_px=32, **settings
        )
        assert found.num_test_images == 12 and 0 <= found.value <= 1


def test_images_belong_to_clusters(network: Network) -> None:
    selected = network.selected("prototypes")
    found = selected.on_images(_noise(3, 32))
    scores = found["embeddings"] @ selected.prototypes.T
    np.testing.assert_allclose(found["cluster_score"], np.max(scores, axis=1), atol=1e-6)
    # Two prototypes may be equally near.
    chosen = np.take_along_axis(np.asarray(scores), np.asarray(found["cluster"])[:, np.newaxis], axis=1)[:, 0]
    np.testing.assert_allclose(chosen, found["cluster_score"], atol=1e-6)


def test_the_network_is_fine_tuned(network: Network, source: Source) -> None:
    fields = ("data.global_batch_size=4", "crops.sizes_px=32", "run.num_steps=1", "run.steps_per_call=1")
    tuning = configs.override(finetuning_recipe("finetune_small"), fields)
    directory, names = RunDirectory("TUNED"), source.class_names
    assert names is not None
    assert fine_tune(tuning, source, names, network.backbone, network.head, directory).step == 1
    classifier = trained_classifier(tuning, names, network.backbone, network.head, directory)
    logits = classifier(_noise(1, 32)).numpy()
    assert logits.shape == (1, len(names)) and np.isfinite(logits).all()
    changed = zip(classifier.backbone.trainable_variables, network.backbone.trainable_variables, strict=True)
    assert any(np.any(new != old) for new, old in changed)


def test_the_network_detects_where_it_has_a_pyramid(network: Network, variant: str) -> None:
    pytest.importorskip("keras_hub")
    make = functools.partial(Detector, class_names=("a", "b"), size_px=128, smallest_anchor_px=12.0, num_head_layers=1)
    if variant == THREE_LAYERS:
        with pytest.raises(InputError, match="need four stages, but three_layers:build has 2"):
            make(network.selected("backbone"))
        return
    Image.fromarray(_noise(1, 128)[0]).save("boxed.png")
    box = BoxedImage(Path("boxed.png"), 128, 128, 1, np.array([[20, 20, 70, 60]], np.float32), np.array([1], np.int64))
    detector = make(network.selected("backbone"))
    images = BoxedImages((box,), detector.class_names, {})
    assert detection.fit(detector, images, num_steps=1, batch_size=1, learning_rate=1e-4) > 0
    found = detector.model(np.zeros([1, 128, 128, 3], np.float32))
    assert found["cls_logits"].shape[-1] == 2 and all(np.isfinite(value).all() for value in found.values())


def test_the_network_is_exported_in_every_format(network: Network, source: Source) -> None:
    formats = ("saved_model", "keras", "litert_float32", "onnx")
    files = export(network.selected("prototypes"), "MODEL", source=source, formats=formats)
    assert [file.format for file in files] == list(formats)
    read = keras.saving.load_model("MODEL/model.keras")(_noise(2, 32))
    np.testing.assert_allclose(read["features"], network.selected("backbone").on_images(_noise(2, 32))["features"])


def test_activation_checkpointing_changes_no_gradient_or_is_refused(variant: str) -> None:
    if "block" not in checkpointing_kinds(variant):
        config = _config(variant, "backbone.activation_checkpointing=block")
        with pytest.raises(InputError, match="activation_checkpointing=block: .* cannot recompute that"):
            seer_tf.pretrain("builtin", "REFUSED", config=config)
        assert not Path("REFUSED").exists()
        return
    plain = build_backbone(_config(variant).backbone, dtype="float64")
    other = plain.remade(activation_checkpointing="block")
    other.set_weights(plain.get_weights())
    for found, expected in zip(_gradients(other), _gradients(plain), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def _gradients(backbone: keras.Model) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
        output = backbone(_noise(2, 32) / 255.0, training=True)
        loss = tf.reduce_sum(tf.sin(output))
    return [gradient.numpy() for gradient in tape.gradient(loss, backbone.trainable_variables)]


@pytest.mark.multi_replica
def test_two_replicas_equal_one(variant: str) -> None:
    alone, together = _results(variant, 1), _results(variant, 2)
    assert alone.keys() == together.keys()
    # A shift before a convolution and batch norm has no effect, so its gradient is rounding noise of about 1e-17.
    far = {
        name: np.linalg.norm(together[name] - value) / (np.linalg.norm(value) + 1e-6) for name, value in alone.items()
    }
    assert {name: distance for name, distance in far.items() if distance > 1e-6} == {}


def _results(variant: str, num_replicas: int) -> dict[str, np.ndarray]:
    """Returns all variables after two steps in float64."""
    config = _config(variant, "run.precision=float64")
    strategy = two_replicas() if num_replicas == 2 else tf.distribute.get_strategy()
    with strategy.scope():
        state = TrainState(config, model=initial_model(config, synchronized=num_replicas > 1))
    step = tf.function(lambda crops: strategy.run(train_step, args=(state, crops)), autograph=False)
    for seed in range(2):
        metrics = step(shared_out(random_crops(config, 4, seed), strategy))
        assert strategy.experimental_local_results(metrics["first_bad"])[0] == -1
    return {name: variable.numpy() for name, variable in state.named_variables().items()}
