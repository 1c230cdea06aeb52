"""Measures how many photos a classifier of cells of the Earth's surface places within 1 to 2,500 km.

The classifier is a run of finetune.py, e.g. with --recipe=finetune_im2gps_224.
"""

from absl import flags

from seer_tf.cli import command
from seer_tf.evaluation.evaluations.geolocation import evaluate
from seer_tf.evaluation.features.request import BATCH_SIZE as DEFAULT_BATCH_SIZE
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.request import EvaluationRequest

MODEL = command.required(flags.DEFINE_string("model", None, "A run of finetune.py, or its classifier.keras."))
TEST_DATA = command.required(flags.DEFINE_string("test_data", None, "Photos, e.g. folder:DIR. Labels do not count."))
CELLS = command.required(
    flags.DEFINE_string("cells", None, "Table with latitude and longitude of each class of the classifier.")
)
PLACES = command.required(
    flags.DEFINE_string("places", None, "Table with latitude and longitude of each photo, by its name.")
)
BATCH_SIZE = flags.DEFINE_integer("batch_size", DEFAULT_BATCH_SIZE, "Number of images in a batch.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the bootstrap.", 0, 2**32 - 1)
RESULTS = flags.DEFINE_string("results", None, "File to which the result is added as a line of JSON.")


def main() -> None:
    """Runs the command."""
    features = FeatureRequest(MODEL.value, batch_size=BATCH_SIZE.value)
    request = EvaluationRequest(features, None, TEST_DATA.value, seed=SEED.value, results=RESULTS.value)
    report = evaluate(request, cells=CELLS.value, places=PLACES.value)
    print(report.text(), flush=True)
    request.keep(report.result)
