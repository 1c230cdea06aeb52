"""Verification of an exported file: it must give the network's outputs in a fresh process, on real images.

Shapes: N images, S evaluation size, K prototypes, L classes.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from seer_tf.exporting import fresh_process
from seer_tf.exporting.gradients import check_gradient_norms, gradient_norms
from seer_tf.exporting.registry import Format
from seer_tf.models import all_stages
from seer_tf.models.stage_maps import in_order, stage_maps
from seer_tf.networks.network import Network


class Reference:
    """Images with the outputs that the network computes for them by the code of evaluation, not of export.

    Attributes:
        crops: Crops of the images, uint8 [N, S, S, 3].
    """

    def __init__(self, network: Network, images: list[tuple[bytes, np.ndarray]]) -> None:
        """Runs the network.

        Args:
            network: Network whose exported part is selected.
            images: Encoded files with their upright pixels, uint8 [h, w, 3]; at least one.
        """
        self._network, self._images = network, images
        self.crops = np.stack([network.transform(tf.constant(image)).numpy() for _, image in images])
        self._normalized = network.normalize(self.crops)
        with _products_in_float32():
            self._run(network)

    def _run(self, network: Network) -> None:
        # One image at a time, because the maps of several large images would take more memory than the weights.
        features = tf.concat([network.features(crop[None], training=False) for crop in self._normalized], axis=0)
        self._expected = {"features": features}
        if network.whitened is not None:
            maps = stage_maps(network.backbone)
            whitened = [
                network.whitened(in_order(network.backbone, maps(crop[None], training=False)))
                for crop in self._normalized
            ]
            self._expected[all_stages.NAME] = tf.concat(whitened, axis=0)
        if network.head is not None:
            self._expected["embeddings"], self._expected["scores"] = network.head(features, training=False)
            self._expected["cluster_score"] = tf.reduce_max(self._expected["scores"], axis=-1)
        if network.classifier is not None:
            self._expected["probabilities"] = tf.nn.softmax(network.classifier(features, training=False))
        variables = [variable.value for variable in network.on_crops.trainable_variables]
        self._gradient_norms = gradient_norms(
            lambda crops: network.on_crops(crops, training=False), self._normalized[:1], variables
        )

    def difference(self, kind: Format, path: Path) -> float:
        """Runs a file in fresh processes, compares its gradients, and returns the largest difference in its outputs.

        Args:
            kind: Format of the file.
            path: Path of the file.

        Returns:
            The largest difference in an output's values, divided by the output's largest value. For a cluster or class:
            the best score minus the score of the chosen one, divided by the largest score.

        Raises:
            InputError: The file's gradients differ from the network's.
            RuntimeError: The file cannot be run, or an output is missing.
        """
        with tempfile.TemporaryDirectory() as scratch:
            self._write_given(Path(scratch))
            return max(
                self._difference(fresh_process.run(kind.reader, path, Path(scratch), variables), kind, path)
                for variables in kind.user_variables
            )

    def _difference(self, found: Mapping[str, np.ndarray], kind: Format, path: Path) -> float:
        wanted = set(self._network.on_images.output) - set(kind.lacks)
        missing = wanted - {name.rpartition("/")[2] for name in found}
        if missing:
            raise RuntimeError(f"{path} has no output {', '.join(sorted(missing))}")
        outputs = dict(found)
        if "gradient_norms" in outputs:  # LiteRT and ONNX have none
            check_gradient_norms(outputs.pop("gradient_norms"), self._gradient_norms)
        return max(self._difference_of(name.rpartition("/")[2], values) for name, values in outputs.items())

    def _write_given(self, directory: Path) -> None:
        np.save(directory / "crops.npy", self.crops)
        np.save(directory / "normalized.npy", self._normalized)
        for number, (encoded, image) in enumerate(self._images):
            (directory / f"{number:03d}.image").write_bytes(encoded)
            np.save(directory / f"{number:03d}.whole.npy", image)

    def _difference_of(self, name: str, found: np.ndarray) -> float:
        if name == "cluster":
            return _shortfall(self._expected["scores"], found)
        if name == "class_name":
            classes = [self._network.class_names.index(text.decode()) for text in found.tolist()]
            return _shortfall(self._expected["probabilities"], np.array(classes))
        expected = np.asarray(self._expected[name])
        if found.shape != expected.shape:
            return float("inf")
        return float(np.abs(found - expected).max() / np.abs(expected).max())


@contextlib.contextmanager
def _products_in_float32() -> Iterator[None]:
    """Turns off TensorFloat-32, with which GPUs round to ten bits. The fresh processes compute on the CPU."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _shortfall(scores: tf.Tensor, chosen: np.ndarray) -> float:
    """Returns the largest shortfall of a row's chosen column below its maximum, relative to the largest score.

    Args:
        scores: Float [N, K].
        chosen: Chosen column of each row, int [N].
    """
    values = np.asarray(scores)
    return float((values.max(axis=1) - values[np.arange(len(values)), chosen]).max() / np.abs(values).max())
