"""The evaluations by the name of their protocol: functions from an `EvaluationRequest` to a `Report`."""

from collections.abc import Callable

from seer_tf.evaluation.evaluations import (
    copy_detection,
    geolocation,
    knn,
    linear_probe,
    linear_svm,
    retrieval,
    robustness,
)
from seer_tf.evaluation.evaluations.report import Report
from seer_tf.registry import Registry

EVALUATIONS: Registry[Callable[..., Report]] = Registry(
    "protocol",
    {
        "knn": knn.evaluate,
        "linear_probe": linear_probe.evaluate,
        "linear_svm": linear_svm.evaluate,
        "retrieval": retrieval.evaluate,
        "copy_detection": copy_detection.evaluate,
        "robustness": robustness.evaluate,
        "geolocation": geolocation.evaluate,
    },
)
register = EVALUATIONS.register
