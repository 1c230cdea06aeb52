"""The SavedModel: every signature agrees with the evaluation, other code can use it, and bad input does no harm."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.sources.registry import open_source
from seer_tf.evaluation.features.extract import extract
from seer_tf.exporting import fresh_process
from seer_tf.exporting.writers.saved_model import signatures as signatures_of
from seer_tf.exporting.writers.saved_model import write_saved_model
from seer_tf.models import convolution
from seer_tf.networks.network import Network
from tests.exporting.tiny_network import CLASS_NAMES, NUM_FEATURES, NUM_PROTOTYPES, SIZE_PX, tiny_network


@pytest.fixture(scope="module")
def network() -> Network:
    """A network with prototypes."""
    return tiny_network().selected("prototypes")


@pytest.fixture(scope="module")
def exported(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the network's SavedModel."""
    directory = tmp_path_factory.mktemp("export") / "with a space"
    write_saved_model(network, directory)
    return directory


@pytest.fixture(scope="module")
def loaded(exported: Path) -> Any:
    """The SavedModel as TensorFlow loads it."""
    return tf.saved_model.load(str(exported))


@pytest.fixture(scope="module")
def signatures(loaded: Any) -> Mapping[str, Callable]:
    """The signatures of the SavedModel."""
    return loaded.signatures


def _images(side_px: tuple[int, int], num_images: int = 3) -> np.ndarray:
    return np.random.default_rng(sum(side_px)).integers(0, 256, [num_images, *side_px, 3], np.uint8)


def _encoded(image: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("side_px", [(32, 32), (70, 45), (20, 90)])
def test_uint8_and_encoded_images_give_the_features_of_the_evaluation(network, signatures, side_px, tmp_path):
    """The evaluation's own pipeline reads the images from files.

    The test fails if resize, crop, scale, mean or std differ.
    """
    images = _images(side_px)
    for number, image in enumerate(images):
        (tmp_path / f"{number}.png").write_bytes(_encoded(image, "PNG"))
    dataset = images_dataset(open_source(f"folder:{tmp_path}"), network.transform, batch_size=2)
    evaluated = extract(lambda batch: {"all": network.features(network.normalize(batch))}, dataset, len(images))["all"]
    for name in ("serve", "serving_default"):
        np.testing.assert_allclose(signatures[name](images=images)["features"], evaluated, atol=1e-5)
    files = tf.constant([_encoded(image, "PNG") for image in images])
    np.testing.assert_allclose(signatures["serve_encoded"](encoded=files)["features"], evaluated, atol=1e-5)


def test_float_crops_are_not_changed(network, signatures):
    """The crops may have any size."""
    crops = np.random.default_rng(0).normal(size=[2, 48, 40, 3]).astype(np.float32)
    expected = network.features(crops, training=False)
    answer = signatures["serve_float"](crops=crops)
    np.testing.assert_allclose(answer["features"], expected, atol=1e-5)
    scores = network.head(expected)[1].numpy()
    np.testing.assert_array_equal(answer["cluster"], scores.argmax(axis=1))
    np.testing.assert_allclose(answer["cluster_score"], scores.max(axis=1), atol=1e-5)


def test_the_maps_of_every_stage_are_served(network, signatures):
    """The maps have names from the stem to the last stage. The mean of the last map over pixels gives the features."""
    crops = np.random.default_rng(0).normal(size=[2, 48, 40, 3]).astype(np.float32)
    maps = signatures["serve_stages"](crops=crops)
    assert {name: tuple(value.shape) for name, value in maps.items()} == {
        "P1": (2, 24, 20, 32),
        "P2": (2, 12, 10, 16),
        "P3": (2, 6, 5, 32),
    }
    np.testing.assert_allclose(maps["P3"], network.backbone(crops, training=False), atol=1e-5)
    np.testing.assert_allclose(tf.reduce_mean(maps["P3"], [1, 2]), network.features(crops, training=False), atol=1e-5)


def test_the_exif_orientation_is_applied(signatures):
    """The turned JPEG and the upright PNG have the same pixels, so the features are equal."""
    image = Image.fromarray(_images((6, 5), 1)[0]).resize((50, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, upright = io.BytesIO(), io.BytesIO()
    image.save(turned, "JPEG", exif=exif)
    decoded = Image.open(io.BytesIO(turned.getvalue())).transpose(Image.Transpose.ROTATE_270)
    decoded.save(upright, "PNG")
    answer = signatures["serve_encoded"](encoded=tf.constant([turned.getvalue(), upright.getvalue()]))
    features = answer["features"].numpy()
    np.testing.assert_allclose(features[0], features[1], atol=1e-5)


def test_a_malformed_element_does_not_fail_the_rest(signatures):
    """A malformed image gets zeros and a flag, and the other images keep their places."""
    good, other = (_encoded(image, "JPEG") for image in _images((50, 40), 2))
    answer = signatures["serve_encoded"](encoded=tf.constant([b"", good, b"no image", good[:200], other]))
    assert answer["valid"].numpy().tolist() == [False, True, False, False, True]
    alone = signatures["serve_encoded"](encoded=tf.constant([good, other]))
    for name in ("features", "embeddings", "cluster", "cluster_score"):
        np.testing.assert_allclose(answer[name].numpy()[[1, 4]], alone[name], atol=1e-5)
        assert not answer[name].numpy()[[0, 2, 3]].any()


def test_empty_batches_give_empty_results(signatures):
    """The batch has no image, or no image that can be decoded."""
    assert signatures["serve"](images=_images((40, 40), 0))["features"].shape == (0, NUM_FEATURES)
    assert signatures["serve_float"](crops=tf.zeros([0, 32, 32, 3]))["cluster"].shape == (0,)
    assert signatures["serve_stages"](crops=tf.zeros([0, 32, 32, 3]))["P2"].shape[0] == 0
    assert signatures["serve_encoded"](encoded=tf.constant([], tf.string))["features"].shape == (0, NUM_FEATURES)
    assert signatures["serve_encoded"](encoded=tf.constant([b"x", b"y"]))["valid"].numpy().tolist() == [False] * 2


def test_the_file_holds_every_variable_once_and_names_the_trainable_ones(network, exported, loaded):
    """The test fails if the file has the weights twice, as Keras writes them."""
    stored = tf.train.list_variables(str(exported / "variables" / "variables"))
    assert len(stored) == len(network.on_crops.variables) + 1  # one more entry is the graph of objects
    assert len(loaded.trainable_variables) == len(network.on_crops.trainable_variables)
    assert len(loaded.variables) == len(network.on_crops.variables)


def test_training_moves_the_statistics_and_serving_does_not(loaded):
    """Only `train_float` normalises by the statistics of the batch.

    Both functions give gradients for every variable.
    """
    crops = np.random.default_rng(0).normal(2.0, 1.0, [4, SIZE_PX, SIZE_PX, 3]).astype(np.float32)
    before = [variable.numpy() for variable in loaded.variables]
    for function, moves in ((loaded.serve_float, False), (loaded.train_float, True)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(function(crops)["cluster_score"]))
        assert None not in tape.gradient(loss, loaded.trainable_variables)
        moved = [np.any(variable.numpy() != old) for variable, old in zip(loaded.variables, before, strict=True)]
        statistics = len(loaded.variables) - len(loaded.trainable_variables)
        assert sum(moved) == (statistics if moves else 0)
    for variable, old in zip(loaded.variables, before, strict=True):
        variable.assign(old)


def test_the_result_has_the_name_of_the_class():
    """The class name is empty for an image that cannot be decoded."""
    network = tiny_network().selected("classifier")
    image = _images((40, 50), 1)[0]
    serve_encoded = signatures_of(network, convolution.as_one_operation)["serve_encoded"]
    answer = serve_encoded(tf.constant([b"no image", _encoded(image, "PNG")]))
    best = int(answer["probabilities"][1].numpy().argmax())
    assert [name.decode() for name in answer["class_name"].numpy()] == ["", CLASS_NAMES[best]]
    assert answer["probabilities"].shape == (2, 3) and NUM_PROTOTYPES and "cluster" not in answer


_USE = """
import sys
import numpy as np
import tensorflow as tf

directory, crops, outputs = sys.argv[1:]
crops = np.load(crops)
loaded = tf.saved_model.load(directory)
stages = loaded.signatures["serve_stages"](crops=crops)  # before the statistics move
found = {}
for name in ("serve_float", "train_float"):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(getattr(loaded, name)(crops)["features"]))
    gradients = tape.gradient(loss, loaded.trainable_variables, unconnected_gradients="zero")
    found |= {f"{name}/{number}": gradient for number, gradient in enumerate(gradients)}
with tf.compat.v1.Session(graph=tf.Graph()) as session:  # without Python's objects, as servers load it
    signature = tf.compat.v1.saved_model.load(session, ["serve"], directory).signature_def["serve_float"]
    features = session.run(signature.outputs["features"].name, {signature.inputs["crops"].name: crops})
np.savez(outputs, features=features, **found, **stages)
"""


_TRAINING = {"serve_float": False, "train_float": True}


def _gradients(network: Network, crops: np.ndarray, training: bool) -> list[np.ndarray]:
    """Returns the gradient of each trainable variable; zeros where the features do not depend on it."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network.features(crops, training=training)))
    sources = [variable.value for variable in network.on_crops.trainable_variables]
    gradients = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [gradient.numpy() for gradient in gradients]


@pytest.mark.slow
@pytest.mark.parametrize("variables", (fresh_process.AS_IT_IS, *fresh_process.EVERY_ONE_DNN), ids=str)
def test_the_file_serves_and_learns_in_plain_tensorflow_with_and_without_one_dnn(
    network: Network, exported: Path, tmp_path: Path, variables: Mapping[str, str]
) -> None:
    """Gradients of both crop signatures equal those of the network in this process.

    The signatures are also loaded without objects.
    """
    crops = np.random.default_rng(0).normal(2.0, 1.0, [4, SIZE_PX, SIZE_PX, 3]).astype(np.float32)
    np.save(tmp_path / "crops.npy", crops)
    (tmp_path / "use.py").write_text(_USE)
    given = (str(exported), str(tmp_path / "crops.npy"), str(tmp_path / "outputs.npz"))
    fresh_process.run_script(tmp_path / "use.py", given, variables)
    found = np.load(tmp_path / "outputs.npz")
    statistics = [variable.numpy() for variable in network.on_crops.non_trainable_variables]
    expected = {name: _gradients(network, crops, training) for name, training in _TRAINING.items()}
    for variable, value in zip(network.on_crops.non_trainable_variables, statistics, strict=True):
        variable.assign(value)
    for name, gradients in expected.items():
        for number, gradient in enumerate(gradients):
            tolerance = 1e-4 * max(np.abs(gradient).max(), 1.0)  # sums over all pixels, in another order
            np.testing.assert_allclose(found[f"{name}/{number}"], gradient, atol=tolerance)
    np.testing.assert_allclose(found["features"], network.features(crops, training=False), atol=1e-5)
    np.testing.assert_allclose(found["P3"], network.backbone(crops, training=False), atol=1e-5)
