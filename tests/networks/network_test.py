"""The selected part of a network has the defined outputs, in float32 for every training precision."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.models import SwavHead
from seer_tf.networks.network import PARTS, Network
from tests.exporting.tiny_network import CLASS_NAMES, NUM_PROTOTYPES, SIZE_PX, tiny_network


@pytest.fixture(scope="module")
def network() -> Network:
    """A network with all parts."""
    return tiny_network()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Images, uint8 [4, S, S, 3]."""
    return np.random.default_rng(0).integers(0, 256, [4, SIZE_PX, SIZE_PX, 3], np.uint8)


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("backbone", {"features"}),
        ("head", {"features", "embeddings"}),
        ("prototypes", {"features", "embeddings", "cluster", "cluster_score"}),
        ("classifier", {"features", "probabilities"}),
    ],
)
def test_each_part_has_its_outputs(network, images, part, names):
    """The outputs equal the definitions in NumPy. The crops are normalised by mean and standard deviation."""
    selected = network.selected(part)
    found = {name: value.numpy() for name, value in selected.on_images(images, training=False).items()}
    assert set(found) == names
    crops = (images / 255.0 - np.array(network.mean)) / np.array(network.std)
    features = network.backbone(crops.astype(np.float32), training=False).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(found["features"], features, rtol=1e-4, atol=1e-5)
    if "cluster" in names:
        scores = found["embeddings"] @ network.head.prototypes.value.numpy().T
        np.testing.assert_array_equal(found["cluster"], scores.argmax(axis=1))
        np.testing.assert_allclose(found["cluster_score"], scores.max(axis=1), atol=1e-6)
        assert len(set(found["cluster"])) <= NUM_PROTOTYPES
    if part == "classifier":
        kernel, bias = (variable.value.numpy() for variable in network.classifier.variables)
        exponentials = np.exp(features @ kernel + bias)
        expected = exponentials / exponentials.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    on_crops = selected.on_crops(network.normalize(images), training=False)
    for name, value in found.items():
        np.testing.assert_allclose(on_crops[name], value, atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_a_network_is_exported_in_float32_for_every_training_precision(network, images, dtype):
    """Every layer is in float32 with the same weights, also in a classifier of several layers."""
    trained = tiny_network(dtype=dtype)
    features = keras.Input((32,), dtype="float32")
    hidden = keras.layers.Dense(5, activation="relu", dtype=dtype)(features)
    mlp = keras.Model(features, keras.layers.Dense(3, dtype=dtype)(hidden))
    trained = dataclasses.replace(trained, classifier=mlp)
    for part in ("prototypes", "classifier"):
        found = trained.selected(part)
        assert all(layer.compute_dtype == "float32" for layer in found.on_images._flatten_layers() if layer.weights)
    assert found.classifier is not None
    exact = network.selected("backbone").on_images(images, training=False)["features"]
    np.testing.assert_array_equal(found.on_images(images, training=False)["features"], exact)
    expected = tf.nn.softmax(found.classifier(exact))
    np.testing.assert_allclose(found.on_images(images)["probabilities"], expected, atol=1e-6)
    for variable, copy in zip(mlp.variables, found.classifier.variables, strict=True):
        np.testing.assert_array_equal(copy.value, variable.value)


def test_synchronised_batch_norm_becomes_local_batch_norm(network):
    """A served model runs on one device."""
    synchronized = SwavHead((24,), 8, NUM_PROTOTYPES, synchronized=True)
    synchronized.build((None, 32))
    assert not dataclasses.replace(network, head=synchronized).selected("head").head.synchronized


def test_a_missing_part_is_refused(network):
    """The error names the parts that the network has."""
    bare = dataclasses.replace(network, head=None, classifier=None)
    for part in PARTS[1:]:
        with pytest.raises(InputError, match=f"this network has no {part}: it has a backbone alone"):
            bare.selected(part)
    with pytest.raises(InputError, match="this network has no prototypes"):
        bare.prototypes  # noqa: B018
    with pytest.raises(InputError, match="did you mean 'prototypes'"):
        network.selected("prototype")
    with pytest.raises(InputError, match="give the names with `class_names`"):
        dataclasses.replace(network, class_names=()).selected("classifier")


def test_class_names_are_read_from_a_file(network, tmp_path):
    """The file has one name in each line, and as many names as the classifier has classes."""
    file = tmp_path / "names.txt"
    file.write_text("\n".join(CLASS_NAMES) + "\n\n", "utf-8")
    assert dataclasses.replace(network, class_names=()).with_class_names(file).class_names == CLASS_NAMES
    file.write_text("one\ntwo\n")
    with pytest.raises(InputError, match="names 2 classes, but the classifier has 3"):
        network.with_class_names(file)
    with pytest.raises(InputError, match="this network has no classifier"):
        dataclasses.replace(network, classifier=None).with_class_names(file)
    with pytest.raises(InputError, match="cannot be read"):
        network.with_class_names(tmp_path / "nowhere.txt")
