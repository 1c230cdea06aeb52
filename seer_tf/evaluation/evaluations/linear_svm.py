"""Fits VOC07's linear support vector machines to frozen features, and measures their mean average precision."""

from seer_tf.evaluation.evaluations.report import Report, described
from seer_tf.evaluation.features.labelled import matched_matrices
from seer_tf.evaluation.protocols.linear_svm import NUM_FOLDS, average_precisions, linear_svm, mean_average_precision
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import bootstrap_interval


def evaluate(request: EvaluationRequest) -> Report:
    """Fits the machines and evaluates them on the test images.

    Raises:
        InputError: The data cannot be used.
    """
    features = request.labelled(matched_matrices, several_labels=True)
    train, test, class_names = features.train, features.test, features.class_names
    train_matrix, test_matrix = features.train_labels, features.test_labels
    machines = {stage: linear_svm(rows[:], train_matrix, test.rows[stage][:]) for stage, rows in train.rows.items()}
    # Cross-validation on the training set chooses the stage; the test set must not influence the choice.
    stage = max(machines, key=lambda stage: machines[stage].cross_validated.mean())
    scores, costs = machines[stage].scores, machines[stage].costs
    precisions = {class_names[number]: value for number, value in average_precisions(test_matrix, scores).items()}
    result = request.result(
        train,
        test,
        num_classes=len(class_names),
        evaluation="linear_svm",
        protocol=f"VOC07: costs by {NUM_FOLDS}-fold cross-validation; {described(test, stage)}",
        metric="mAP",
        value=mean_average_precision(test_matrix, scores),
        interval=bootstrap_interval(
            lambda chosen: mean_average_precision(test_matrix[chosen], scores[chosen]),
            test.num_images,
            seed=request.seed,
        ),
        details={
            "stage": stage,
            "average_precision": precisions,
            "costs": dict(zip(class_names, costs.tolist(), strict=True)),
            "mAP": {at: mean_average_precision(test_matrix, found.scores) for at, found in machines.items()},
        },
    )
    rows = [
        (name, f"{costs[class_names.index(name)]:g}", f"{100 * precision:.2f}")
        for name, precision in precisions.items()
    ]
    return Report(result, ("class", "cost", "AP %"), rows)
