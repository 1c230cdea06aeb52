"""Evaluation of features: one call for each protocol."""

import os

from seer_tf.api.images import Images, as_data
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.registry import find_evaluation
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import EvaluationResult


def evaluate(
    model: str | os.PathLike[str] | None = None,
    *,
    train: Images,
    test: Images,
    protocol: str = "knn",
    recipe: str | None = None,
    pixels: str | None = None,
    stage: str | None = None,
    size_px: int | None = None,
    squash: bool = False,
    seed: int = 0,
    results: str | os.PathLike[str] | None = None,
) -> EvaluationResult:
    """Evaluates features: fits on training images and measures the result on test images.

    Args:
        model: A run, one of its checkpoints, a conversion, a `.keras` file, or a model from `load`; None for stored
            features or pixel features.
        train: Labelled images to fit on: a folder with a sub-folder for each class, another data spec, a pair of uint8
            `[N, h, w, 3]` and labels `[N]`, a `tf.data.Dataset` of such pairs, or `features:DIR`.
        test: Labelled images to measure the result on.
        protocol: knn, linear_probe, linear_svm, retrieval, or a registered one.
        recipe: Protocol of the linear probe's training; grid if None.
        pixels: Pixel features in place of a network's features, e.g. histogram.
        stage: Stage of the network; the pooled last stage if None.
        size_px: Side of the square that the network sees, in pixels; the model's own if None.
        squash: Whether whole images are squeezed into the square instead of cropped.
        seed: Seed of all random draws.
        results: File to which the result is added as a line; `evaluations.jsonl` in the run directory if None.

    Returns:
        The number, its interval, and the settings that it depends on.

    Raises:
        InputError: An argument is wrong, or the data cannot be used.
    """
    run = find_evaluation(protocol)
    if recipe is not None and protocol != "linear_probe":
        raise InputError(f"`recipe={recipe}` works only with `protocol=linear_probe`; leave it out")
    features = FeatureRequest(
        model=None if model is None else os.path.expanduser(os.fspath(model)),
        pixels=pixels,
        stages=() if stage is None else (stage,),
        size_px=size_px,
        squash=squash,
    )
    kept = None if results is None else os.fspath(results)
    request = EvaluationRequest(features, as_data(train), as_data(test), seed=seed, results=kept)
    report = run(request) if recipe is None else run(request, recipe)
    request.keep(report.result)
    return report.result
