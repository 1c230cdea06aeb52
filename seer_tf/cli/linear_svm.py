"""Fits VOC07's linear support vector machines to frozen features and measures the mean average precision.

VISSL squeezes whole images into the square. To do the same, give --squash, here or when features are extracted.
"""

from absl import flags

from seer_tf.cli import evaluation_flags, feature_flags

flags.adopt_module_key_flags(feature_flags)
flags.adopt_module_key_flags(evaluation_flags)


def main() -> None:
    """Runs the command."""
    evaluation_flags.evaluate("linear_svm")
