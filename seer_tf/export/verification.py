"""Whether an exported file says what the network says: it is loaded in a fresh process and run on real images.

Shapes: N images, S evaluation size, K prototypes, L classes.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from seer_tf.export.registry import Format
from seer_tf.networks.network import Network

_READERS = Path(__file__).parent / "readers"


class Reference:
    """Images and what the network makes of them by the evaluation's own way, which is not that of the export.

    Attributes:
        crops: Uint8 [N, S, S, 3].
    """

    def __init__(self, network: Network, images: list[tuple[bytes, np.ndarray]]) -> None:
        """Runs the network.

        Args:
            network: Network with the part selected that is exported.
            images: Encoded, and upright pixels uint8 [h, w, 3]; at least one.
        """
        self._network, self._images = network, images
        self.crops = np.stack([network.transform(tf.constant(image)).numpy() for _, image in images])
        self._normalized = network.normalize(self.crops)
        # One by one: of several large images the maps would take more memory than the weights.
        features = tf.concat([network.features(crop[None], training=False) for crop in self._normalized], axis=0)
        self._expected = {"features": features}
        if network.head is not None:
            self._expected["embeddings"], self._expected["scores"] = network.head(features, training=False)
            self._expected["cluster_score"] = tf.reduce_max(self._expected["scores"], axis=-1)
        if network.classifier is not None:
            self._expected["probabilities"] = tf.nn.softmax(network.classifier(features, training=False))

    def difference(self, kind: Format, path: Path) -> float:
        """Runs a file in a fresh process and returns the largest difference of any output.

        Args:
            kind: Kind of the file.
            path: Path of the file.

        Returns:
            The largest difference of an output's values, divided by its largest value. For a cluster or class: how much
            less the chosen one scores than the best, divided by the largest score.

        Raises:
            RuntimeError: the file cannot be run, or an output is missing.
        """
        with tempfile.TemporaryDirectory() as scratch:
            self._write_given(Path(scratch))
            found = _run(kind.reader, path, Path(scratch))
        missing = set(self._network.on_images.output) - {name.rpartition("/")[2] for name in found}
        if missing:
            raise RuntimeError(f"{path} has no output {', '.join(sorted(missing))}")
        return max(self._difference_of(name.rpartition("/")[2], values) for name, values in found.items())

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


def _shortfall(scores: tf.Tensor, chosen: np.ndarray) -> float:
    """Returns how much less the chosen column of a row [N, K] has than its largest, relative to the largest of all."""
    values = np.asarray(scores)
    return float((values.max(axis=1) - values[np.arange(len(values)), chosen]).max() / np.abs(values).max())


def _run(reader: str, path: Path, given: Path) -> Mapping[str, np.ndarray]:
    """Runs the script of a reader with nothing of this process in it."""
    outputs = given / "outputs.npz"
    fresh = subprocess.run(
        [sys.executable, "-I", str(_READERS / f"{reader}.py"), str(path), str(given), str(outputs)],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    if fresh.returncode:
        raise RuntimeError(f"{path.name} cannot be run in a fresh process; nothing was written:\n{fresh.stderr}")
    with np.load(outputs) as found:
        return dict(found)
