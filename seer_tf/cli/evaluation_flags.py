"""Images to evaluate on, and the file for the result.

The evaluations on frozen features share these flags, and the function that prints and keeps a result.
"""

from typing import Any

from absl import flags

from seer_tf.cli import command, feature_flags
from seer_tf.evaluation.evaluations.registry import EVALUATIONS
from seer_tf.evaluation.evaluations.report import Report
from seer_tf.evaluation.request import EvaluationRequest

TRAIN_DATA = command.required(
    flags.DEFINE_string(
        "train_data", None, "Labelled images to fit on, e.g. folder:DIR; or features:DIR from extract_features.py."
    )
)
TEST_DATA = command.required(
    flags.DEFINE_string("test_data", None, "Images or features to measure the result on, e.g. folder:DIR.")
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of all random draws.", 0, 2**32 - 1)
RESULTS = flags.DEFINE_string(
    "results", None, "File to which the result is added as a line of JSON. [for a run RUN/evaluations.jsonl]"
)


def request() -> EvaluationRequest:
    """Returns the evaluation that the flags ask for."""
    return EvaluationRequest(
        feature_flags.request(), TRAIN_DATA.value, TEST_DATA.value, seed=SEED.value, results=RESULTS.value
    )


def evaluate(protocol: str, **settings: Any) -> None:
    """Evaluates by a registered protocol, prints the report and keeps the result.

    Args:
        protocol: Name of the protocol.
        **settings: Further arguments of the evaluation.

    Raises:
        InputError: The data cannot be used.
    """
    asked = request()
    finish(asked, EVALUATIONS.find(protocol)(asked, **settings))


def finish(request: EvaluationRequest, report: Report) -> None:
    """Prints the report of an evaluation, and keeps its result."""
    print(report.text(), flush=True)
    request.keep(report.result)
