"""The evaluations on frozen features, by the name of their protocol."""

from collections.abc import Callable

from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations import knn, linear_probe, linear_svm, retrieval
from seer_tf.evaluation.evaluations.report import Report

_EVALUATIONS: dict[str, Callable[..., Report]] = {
    "knn": knn.evaluate,
    "linear_probe": linear_probe.evaluate,
    "linear_svm": linear_svm.evaluate,
    "retrieval": retrieval.evaluate,
}


def register(name: str, evaluation: Callable[..., Report]) -> None:
    """Adds an evaluation, so that `seer_tf.evaluate` and commands can name its protocol.

    Args:
        name: Name of the protocol.
        evaluation: Function that takes an `EvaluationRequest` and returns a `Report`.

    Raises:
        ValueError: There is a protocol of that name.
    """
    if name in _EVALUATIONS:
        raise ValueError(f"there is a protocol named {name} already")
    _EVALUATIONS[name] = evaluation


def find_evaluation(name: str) -> Callable[..., Report]:
    """Returns the evaluation by a protocol.

    Raises:
        InputError: There is no such protocol.
    """
    if name not in _EVALUATIONS:
        raise InputError.unknown("protocol", name, _EVALUATIONS)
    return _EVALUATIONS[name]
