"""Fits linear classifiers to frozen features of a training set and measures their accuracy on a test set.

With --recipe=vissl_openimages images may have several classes, and the result is the mean average precision.
"""

from absl import flags

from seer_tf.cli import evaluation_flags, feature_flags
from seer_tf.evaluation.evaluations import linear_probe

RECIPE = flags.DEFINE_enum(
    "recipe",
    "grid",
    linear_probe.RECIPES,
    f"Protocol of the training; {linear_probe.OPTIMUM} uses scikit-learn's L-BFGS.",
)

flags.adopt_module_key_flags(feature_flags)
flags.adopt_module_key_flags(evaluation_flags)


def main() -> None:
    """Runs the command."""
    evaluation_flags.evaluate("linear_probe", recipe=RECIPE.value)
