"""Fits VOC07's linear support vector machines on frozen features and reads the mean average precision on a test set.

VISSL squeezes whole images into the square: give --squash, here or when features are extracted.
"""

from absl import flags

from seer_tf.cli import evaluation_flags, feature_flags
from seer_tf.evaluation.evaluations import linear_svm

flags.adopt_module_key_flags(feature_flags)
flags.adopt_module_key_flags(evaluation_flags)


def main() -> None:
    """Runs the command."""
    request = evaluation_flags.request()
    evaluation_flags.finish(request, linear_svm.evaluate(request))
