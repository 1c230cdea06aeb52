"""Classifies a test set by the nearest images of a training set in feature space; no training, a minute's answer."""

from absl import flags

from experiments import command, evaluation_flags
from seer_tf.evaluation.knn import TEMPERATURE, knn_accuracy

flags.adopt_module_key_flags(evaluation_flags)


def main() -> None:
    """Runs the command."""
    features = evaluation_flags.extracted_features()
    top1 = knn_accuracy(
        features.train,
        features.train_labels,
        features.test,
        features.test_labels,
        num_classes=len(features.class_names),
    )
    evaluation_flags.print_result(
        "knn",
        features,
        header=("k", "top-1 %"),
        rows=[(str(k), f"{100 * accuracy:.2f}") for k, accuracy in top1.items()],
        summary=f"weighted votes, temperature {TEMPERATURE:g}",
        result={"top1": {str(k): accuracy for k, accuracy in top1.items()}, "temperature": TEMPERATURE},
    )


if __name__ == "__main__":
    command.run(main)
