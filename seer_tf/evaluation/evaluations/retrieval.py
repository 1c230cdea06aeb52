"""Retrieval: ranks training images by their similarity to each test image. An image of the same class is relevant."""

from collections.abc import Callable

from seer_tf.evaluation.evaluations.report import Report, described
from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.features.fingerprints import unshared
from seer_tf.evaluation.features.labelled import Labels, check_alike, matched_labels
from seer_tf.evaluation.protocols.retrieval import Retrieval, retrieval
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import mean_interval


def evaluate(request: EvaluationRequest) -> Report:
    """Searches the training images for each test image; without test images, for each of themselves.

    Raises:
        InputError: The data cannot be used.
    """
    bank, queries, labels = searched(request, matched_labels)
    assert labels is not None  # since `matched_labels` raises an error for images without labels
    return measure(request, bank, queries, labels)


def searched(
    request: EvaluationRequest, match: Callable[[FeatureSet, FeatureSet], Labels | None]
) -> tuple[FeatureSet, FeatureSet, Labels | None]:
    """Returns the images to find, the queries and their labels. Files that are in both sets are no queries.

    Args:
        request: Request of the evaluation. Without test images, the training images are both.
        match: Function that returns the labels of both sets, or raises an error; None for images without labels.

    Raises:
        InputError: The data cannot be used.
    """
    if request.train is not None and request.test is None:
        (images,), own_labels = request.feature_sets(lambda images: match(images, images))
        return images, images, own_labels
    request.both()
    (bank, queries), labels = request.feature_sets(match)
    check_alike(bank, queries)
    kept = unshared(bank.fingerprints, queries.fingerprints)
    return bank, queries.selected(kept), None if labels is None else (*labels[:2], labels[2][kept])


def measure(request: EvaluationRequest, bank: FeatureSet, queries: FeatureSet, labels: Labels) -> Report:
    """Searches a bank for each query.

    Args:
        request: Request of the evaluation.
        bank: Images to find.
        queries: Images to search for. If they are the bank itself, no image finds itself.
        labels: Class names, and the labels of both.

    Returns:
        The report, with the first stage's mean average precision as the value.
    """
    class_names, bank_labels, query_labels = labels
    found = {
        stage: retrieval(rows, bank_labels, queries.rows[stage], query_labels, is_same_set=queries is bank)
        for stage, rows in bank.rows.items()
    }
    stage = next(iter(found))
    result = request.result(
        bank,
        queries,
        num_classes=len(class_names),
        evaluation="retrieval",
        protocol=f"cosine, classes as relevance; {described(queries, stage)}",
        metric="mAP",
        value=float(found[stage].average_precisions.mean()),
        interval=mean_interval(found[stage].average_precisions, seed=request.seed),
        details={at: _numbers(one) for at, one in found.items()} | {"num_queries": len(found[stage].queries)},
    )
    rows = [(at, *(f"{100 * number:.2f} %" for number in _numbers(one).values())) for at, one in found.items()]
    return Report(result, ("stage", *_numbers(found[stage])), rows)


def _numbers(found: Retrieval) -> dict[str, float]:
    recall = {f"recall@{k}": float(hits.mean()) for k, hits in found.hits.items()}
    return {"mAP": float(found.average_precisions.mean()), **recall}
