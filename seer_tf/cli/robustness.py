"""Measures the accuracy of one classifier on several test sets that have some of its classes.

ImageNet-A, -R and -Sketch are tfds:imagenet_a@test, tfds:imagenet_r@test and tfds:imagenet_sketch@test.
"""

from absl import flags

from seer_tf.cli import command
from seer_tf.evaluation.evaluations.robustness import reports
from seer_tf.evaluation.features.request import BATCH_SIZE as DEFAULT_BATCH_SIZE
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.request import EvaluationRequest

MODEL = command.required(
    flags.DEFINE_string(
        "model", None, "A run of finetune.py, its classifier.keras, or a directory from convert_checkpoint.py."
    )
)
TEST_DATA = command.required(
    flags.DEFINE_multi_string("test_data", [], "Labelled images, e.g. folder:DIR. Repeatable.")
)
CLASS_MAP = flags.DEFINE_multi_string(
    "class_map",
    [],
    "CSV file with a test class and a classifier class on each line. Repeatable. [equal names]",
)
CLASS_NAMES = flags.DEFINE_string("class_names", None, "File with one class name per line. [the classifier's own]")
BATCH_SIZE = flags.DEFINE_integer("batch_size", DEFAULT_BATCH_SIZE, "Number of images in a batch.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the bootstrap.", 0, 2**32 - 1)
RESULTS = flags.DEFINE_string("results", None, "File to which each result is added as a line of JSON.")


def main() -> None:
    """Runs the command."""
    features = FeatureRequest(MODEL.value, batch_size=BATCH_SIZE.value)
    requests = [
        EvaluationRequest(features, None, test, seed=SEED.value, results=RESULTS.value) for test in TEST_DATA.value
    ]
    found = reports(requests, class_maps=CLASS_MAP.value, class_names=CLASS_NAMES.value or None)
    for request, report in zip(requests, found, strict=True):
        print(report.text(), flush=True)
        request.keep(report.result)
