"""k-NN: classifies test images by the nearest training images in feature space."""

from seer_tf.evaluation.evaluations.report import Report, described, percent_cells
from seer_tf.evaluation.protocols.knn import TEMPERATURE, knn_correct
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import mean_interval

_K = 20  # for the result, as in DINO; the table shows all k


def evaluate(request: EvaluationRequest) -> Report:
    """Classifies the test images.

    Raises:
        InputError: The data cannot be used.
    """
    features = request.labelled()
    found = {
        (stage, k): (float(right.mean()), mean_interval(right, seed=request.seed))
        for stage, bank in features.train.rows.items()
        for k, right in knn_correct(
            bank,
            features.train_labels,
            features.test.rows[stage],
            features.test_labels,
            num_classes=len(features.class_names),
        ).items()
    }
    stage = next(iter(features.train.rows))
    k = min((k for at, k in found if at == stage), key=lambda k: abs(k - _K))
    result = request.result(
        features.train,
        features.test,
        num_classes=len(features.class_names),
        evaluation="knn",
        protocol=f"k = {k}, weights exp(cosine / {TEMPERATURE:g}); {described(features.test, stage)}",
        metric="top-1",
        value=found[stage, k][0],
        interval=found[stage, k][1],
        details={
            "top1": {at: {str(k): found[at, k][0] for here, k in found if here == at} for at in features.train.rows},
            "temperature": TEMPERATURE,
        },
    )
    rows = [(at, str(k), *percent_cells(*numbers)) for (at, k), numbers in found.items()]
    return Report(result, ("stage", "k", "top-1 %", "95 %"), rows)
