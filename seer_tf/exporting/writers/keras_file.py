"""The network as a `.keras` file, for whoever goes on in Keras with this package."""

from pathlib import Path

from seer_tf.networks.network import Network


def write_keras_file(network: Network, path: Path) -> None:
    """Writes the model from uint8 crops to outputs; it loads after `import seer_tf.models.outputs`."""
    network.on_images.save(path)
