"""Classifies a test set by the nearest images of a training set in feature space; no training, a minute's answer."""

from absl import flags

from seer_tf.cli import evaluation_flags, feature_flags
from seer_tf.evaluation.protocols.knn import TEMPERATURE, knn_correct
from seer_tf.evaluation.result import mean_interval

flags.adopt_module_key_flags(feature_flags)
flags.adopt_module_key_flags(evaluation_flags)

_K = 20  # of the one number, as in DINO; the table has all


def main() -> None:
    """Runs the command."""
    features = evaluation_flags.labelled()
    found = {
        (stage, k): (float(right.mean()), mean_interval(right, seed=evaluation_flags.SEED.value))
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
    outcome = evaluation_flags.outcome(
        features.train,
        features.test,
        num_classes=len(features.class_names),
        evaluation="knn",
        protocol=f"k = {k}, weights exp(cosine / {TEMPERATURE:g}); {evaluation_flags.described(features.test, stage)}",
        metric="top-1",
        value=found[stage, k][0],
        interval=found[stage, k][1],
        details={
            "top1": {at: {str(k): found[at, k][0] for here, k in found if here == at} for at in features.train.rows},
            "temperature": TEMPERATURE,
        },
    )
    evaluation_flags.finish(
        outcome,
        header=("stage", "k", "top-1 %", "95 %"),
        rows=[(at, str(k), *evaluation_flags.percent(*numbers)) for (at, k), numbers in found.items()],
    )
