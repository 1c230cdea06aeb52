"""The network as a `.keras` file, for use in Keras together with this package."""

from pathlib import Path

from seer_tf.networks.network import Network


def write_keras_file(network: Network, path: Path) -> None:
    """Writes the model from uint8 crops to outputs. To load the file, first `import seer_tf.models.outputs`."""
    network.on_images.save(path)
