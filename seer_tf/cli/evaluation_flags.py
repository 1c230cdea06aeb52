"""Images to evaluate on, and where the result goes.

The evaluations on frozen features share these flags, and how a result is printed and kept.
"""

from absl import flags

from seer_tf.cli import command, feature_flags
from seer_tf.evaluation.evaluations.report import Report
from seer_tf.evaluation.request import EvaluationRequest

TRAIN_DATA = command.required(
    flags.DEFINE_string(
        "train_data", None, "Labelled images to fit on, e.g. folder:DIR; or features:DIR of extract_features.py."
    )
)
TEST_DATA = command.required(
    flags.DEFINE_string("test_data", None, "Images or features to read the result on, e.g. folder:DIR.")
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of all chance.", 0, 2**32 - 1)
RESULTS = flags.DEFINE_string("results", None, "File that gets the result as a line. [RUN/evaluations.jsonl of a run]")


def request() -> EvaluationRequest:
    """Returns the evaluation that the flags ask for."""
    return EvaluationRequest(
        feature_flags.request(), TRAIN_DATA.value, TEST_DATA.value, seed=SEED.value, results=RESULTS.value
    )


def finish(request: EvaluationRequest, report: Report) -> None:
    """Prints what an evaluation found, and keeps its result."""
    print(report.text(), flush=True)
    request.keep(report.result)
