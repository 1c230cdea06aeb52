"""Images to evaluate on, and where the result goes.

The evaluations on frozen features share these flags, and how a result is printed and kept.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from seer_tf.cli import command, feature_flags
from seer_tf.data.sources.registry import absolute, check_source, open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.features.fingerprints import check_other_images
from seer_tf.evaluation.features.labelled import LabelledFeatures, labelled_features
from seer_tf.evaluation.features.store import MANIFEST, open_features
from seer_tf.evaluation.result import EvaluationResult, add_to_file
from seer_tf.files.atomic import check_file
from seer_tf.quantities import counted

TRAIN_DATA = command.required(
    flags.DEFINE_string(
        "train_data", None, "Labelled images to fit on, e.g. folder:DIR; or features:DIR of extract_features.py."
    )
)
TEST_DATA = command.required(
    flags.DEFINE_string("test_data", None, "Images or features to read the result on, e.g. folder:DIR.")
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of all chance.", 0, 2**32 - 1)
RESULTS = flags.DEFINE_string("results", None, "File that gets the result as a line. [RUN/evaluations.jsonl of a run]")

_STORED = "features:"


def check_places() -> None:
    """Looks whether the result can be kept, and whether the data are there, before anything is read.

    Raises:
        InputError: a place cannot be written or is not there, or training and test data are the same.
    """
    results = _results_file(feature_flags.MODEL.value)
    if results is not None:
        check_file(results)
    given = [flag for flag in (TRAIN_DATA.value, TEST_DATA.value) if flag is not None]
    for flag in given:
        if not _is_stored(flag):
            check_source(flag)
    if len({absolute(flag) for flag in given}) < len(given):
        raise InputError(
            f"--train_data and --test_data are both {given[0]}, so the number would say nothing about new images; give "
            "others as one of the two"
        )


def _results_file(model: str | None) -> Path | None:
    """Returns the file that gets the result of a model; None where it is kept nowhere."""
    if RESULTS.value is not None:
        return Path(RESULTS.value)
    run = None if model is None else feature_flags.run_of(model)
    return None if run is None else run / "evaluations.jsonl"


def _is_stored(flag: str) -> bool:
    """Whether a data flag names features: as `features:DIR`, or as the directory alone."""
    return flag.startswith(_STORED) or (Path(flag) / MANIFEST).is_file()


def feature_sets(
    *flags_and_labels: tuple[str, str], check: Callable[..., object] = lambda *sets: None
) -> list[FeatureSet]:
    """Returns the features of several data flags, all extracted by the model that is given, or all stored.

    Args:
        *flags_and_labels: Data flags, each with what the progress line says.
        check: Raises an error if the sets do not go together; called before the network sees an image.

    Raises:
        InputError: some are stored and others not, they cannot be opened, or the result could not be kept.
    """
    check_places()
    are_stored = {_is_stored(flag) for flag, _ in flags_and_labels}
    if are_stored == {True}:
        if feature_flags.is_given():
            raise InputError("stored features need no model; leave out --model and --pixels")
        return [_stored(flag) for flag, _ in flags_and_labels]
    if are_stored == {True, False}:
        raise InputError("give features:DIR for all of the data or for none of it")
    extractor = feature_flags.extractor()
    sources = [open_source(flag) for flag, _ in flags_and_labels]
    check(*(extractor.announce(source, flag) for source, (flag, _) in zip(sources, flags_and_labels, strict=True)))
    if len(sources) == 2:
        check_other_images(*sources)
    return [
        extractor.extract(source, flag, label=label)
        for source, (flag, label) in zip(sources, flags_and_labels, strict=True)
    ]


def train_and_test(check: Callable[[FeatureSet, FeatureSet], object]) -> tuple[FeatureSet, FeatureSet]:
    """Returns the training and test features that the flags ask for.

    Args:
        check: Raises an error if the two sets do not go together; called before the network sees an image.

    Raises:
        InputError: the flags do not go together, or the two sets do not.
    """
    train, test = feature_sets((TRAIN_DATA.value, "training images"), (TEST_DATA.value, "test images"), check=check)
    return train, test


def labelled() -> LabelledFeatures:
    """Returns the same with one class of each image.

    Raises:
        InputError: the flags do not go together, or the two sets do not.
    """
    return labelled_features(*train_and_test(labelled_features))


def outcome(
    train: FeatureSet,
    test: FeatureSet,
    *,
    num_classes: int,
    evaluation: str,
    protocol: str,
    metric: str,
    value: float,
    interval: tuple[float, float],
    details: Mapping[str, Any],
) -> EvaluationResult:
    """Returns the outcome of an evaluation on frozen features; the other arguments are fields of it."""
    return EvaluationResult(
        evaluation=evaluation,
        protocol=protocol,
        metric=metric,
        value=value,
        interval=interval,
        model=train.origin.model,
        train_data=train.origin.data,
        test_data=test.origin.data,
        num_train_images=train.num_images,
        num_test_images=test.num_images,
        num_classes=num_classes,
        seed=SEED.value,
        details=details,
        digest=train.origin.digest,
        step=train.origin.step,
    )


def finish(outcome: EvaluationResult, *, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table for people, then the outcome as a row in Markdown and, last, as a line of JSON; then keeps it.

    Args:
        outcome: Outcome of the evaluation.
        header: Header of the table.
        rows: Rows of the table.
    """
    fitted = f"{outcome.num_train_images:,} training and " if outcome.train_data else ""
    print(
        f"{outcome.evaluation} of {outcome.network}: {fitted}{counted(outcome.num_test_images, 'test image')}, ", end=""
    )
    print(f"{counted(outcome.num_classes, 'class')}; {outcome.protocol}")
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    print(outcome.to_markdown())
    print(outcome.to_json(), flush=True)
    results = _results_file(outcome.model)
    if results is not None:
        add_to_file(outcome, results)


def percent(value: float, interval: tuple[float, float]) -> tuple[str, str]:
    """Returns two cells of a table, a fraction and its interval in percent."""
    return f"{100 * value:.2f}", f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"


def described(features: FeatureSet, stage: str) -> str:
    """Returns in words of which features of which images a number is."""
    rows = features.rows[stage]
    return f"{stage} of {counted(rows.shape[1], 'number')}, {rows[:1].dtype}; {features.origin.transform}"


def _stored(flag: str) -> FeatureSet:
    features = open_features(flag.removeprefix(_STORED))
    return features if feature_flags.STAGES.value is None else features.of_stages(feature_flags.STAGES.value)
