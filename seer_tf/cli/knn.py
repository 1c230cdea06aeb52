"""Classifies test images by the nearest training images in feature space; it needs no training and takes a minute."""

from absl import flags

from seer_tf.cli import evaluation_flags, feature_flags

flags.adopt_module_key_flags(feature_flags)
flags.adopt_module_key_flags(evaluation_flags)


def main() -> None:
    """Runs the command."""
    evaluation_flags.evaluate("knn")
