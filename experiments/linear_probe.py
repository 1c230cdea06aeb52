"""Fits a linear classifier on frozen features of a training set and reads its accuracy on a test set."""

from absl import flags

from experiments import command, evaluation_flags
from seer_tf.evaluation.linear_probe import linear_probe

flags.adopt_module_key_flags(evaluation_flags)


def main() -> None:
    """Runs the command."""
    features = evaluation_flags.extracted_features()
    probe = linear_probe(features.train, features.train_labels, features.test, features.test_labels)
    evaluation_flags.print_result(
        "linear_probe",
        features,
        header=("weight decay", "held-out top-1 %"),
        rows=[(f"{decay:g}", f"{100 * top1:.2f}") for decay, top1 in probe.held_out_top1.items()],
        summary=f"test top-1 {100 * probe.top1:.2f} % with weight decay {probe.weight_decay:g}",
        result={"top1": probe.top1, "weight_decay": probe.weight_decay},
    )


if __name__ == "__main__":
    command.run(main)
