"""The request for an evaluation: features of training and test data, and the file that keeps the result."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from seer_tf.data.sources.labelled import labelled_numbers, open_labelled
from seer_tf.data.sources.registry import Data, absolute, check_source, name_of, open_source
from seer_tf.data.sources.usable import usable
from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.features.fingerprints import check_other_images
from seer_tf.evaluation.features.labelled import LabelledFeatures, Labels, class_labels, labelled_features, uncovered
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.features.store import MANIFEST, open_features
from seer_tf.evaluation.result import UNCOVERED, EvaluationResult, add_to_file
from seer_tf.files.atomic import check_file

Checked = TypeVar("Checked")

_STORED = "features:"
_LABELS = ("training images", "test images")  # texts of the progress lines


@dataclasses.dataclass(frozen=True)
class EvaluationRequest:
    """A request for an evaluation on frozen features.

    Attributes:
        features: Request for the features.
        train: Images to fit on, or stored features, `features:DIR`; None if nothing is fitted.
        test: Images or stored features to measure the result on; None if the training data serve for both.
        seed: Seed of all random draws.
        results: File to which the result is added as a line; None for a run's `evaluations.jsonl`, if there is a run.
    """

    features: FeatureRequest
    train: Data | None
    test: Data | None
    seed: int = 0
    results: str | None = None

    def check_places(self) -> None:
        """Raises an error if the result cannot be kept or the data do not exist. Reads no data.

        Raises:
            InputError: A path cannot be written or does not exist, or training and test data are the same.
        """
        results = self._results_file(self.features.model)
        if results is not None:
            check_file(results)
        for data in self._data:
            if not _is_stored(data):
                check_source(data)
        places = {absolute(name_of(data)) for data in self._data}
        if len(places) < len(self._data):
            raise InputError(
                f"`train` and `test` are both {name_of(self._data[0])}, so the number would say nothing "
                "about new images; give other images for one of the two"
            )

    def both(self) -> tuple[Data, Data]:
        """Returns training and test data.

        Raises:
            InputError: One of the two is missing.
        """
        if self.train is None or self.test is None:
            missing = "train" if self.train is None else "test"
            raise InputError(f"`{missing}` is missing: this protocol needs two sets of images, `train` and `test`")
        return self.train, self.test

    def feature_sets(
        self, check: Callable[..., Checked], *, several_labels: bool = False
    ) -> tuple[list[FeatureSet], Checked]:
        """Returns the features of training and test data; without test data, those of the training data.

        Args:
            check: Function that takes the sets and raises an error if their labels cannot be used. It is called
                before the network sees an image: only stored sets have features then. It is called again if
                images that cannot be decoded were left out.
            several_labels: Whether an image may have several labels, or none of them. If not, images without a label
                are left out.

        Returns:
            The sets, and the result of `check`.

        Raises:
            InputError: Only some of the features are stored, they cannot be opened, or the result could not be kept.
        """
        self.check_places()
        are_stored = {_is_stored(data) for data in self._data}
        if are_stored == {True, False}:
            raise InputError("give features:DIR for both training and test data, or for neither")
        if are_stored == {True}:
            if self.features.is_given:
                raise InputError("stored features need no model; leave out `model` and `pixels`")
            stored = [self._stored(name_of(data), several_labels) for data in self._data]
            return stored, check(*stored)
        extractor = self.features.extractor()
        open_data = open_source if several_labels else open_labelled
        opened = {name_of(data): open_data(data) for data in self._data}
        checked = check(*(extractor.metadata(source, name) for name, source in opened.items()))
        sources = {name: usable(source) for name, source in opened.items()}
        if sources != opened:
            checked = check(*(extractor.metadata(source, name) for name, source in sources.items()))
        if len(sources) > 1:
            check_other_images(*sources.values())
        labels = _LABELS if len(sources) > 1 else ("images",)
        return [
            extractor.extract(source, name, label=label)
            for (name, source), label in zip(sources.items(), labels, strict=True)
        ], checked

    def labelled(
        self, match: Callable[[FeatureSet, FeatureSet], Labels] = class_labels, *, several_labels: bool = False
    ) -> LabelledFeatures:
        """Returns training and test features with their labels.

        Args:
            match: Function that returns the labels of both sets, or raises an error; called as `check` of
                `feature_sets`.
            several_labels: As for `feature_sets`.

        Raises:
            InputError: `feature_sets` or `match` raises it, data are missing, or the features cannot be used together.
        """
        self.both()
        (train, test), labels = self.feature_sets(match, several_labels=several_labels)
        return labelled_features(train, test, labels)

    def result(
        self,
        train: FeatureSet | None,
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
        """Returns the result of the evaluation. The keyword arguments are fields of the result.

        Args:
            train: Features that something was fitted on; None if nothing was fitted.
            test: Features that the result was measured on.
            num_classes: Number of classes.
            evaluation: Name of the evaluation.
            protocol: Protocol in words.
            metric: Name of the number.
            value: The number.
            interval: Its interval.
            details: Further numbers.
        """
        origin = test.origin if train is None else train.origin
        missing = () if train is None else uncovered(train, test)
        return EvaluationResult(
            evaluation=evaluation,
            protocol=protocol,
            metric=metric,
            value=value,
            interval=interval,
            model=origin.model,
            train_data=None if train is None else train.origin.data,
            test_data=test.origin.data,
            num_train_images=0 if train is None else train.num_images,
            num_test_images=test.num_images,
            num_classes=num_classes,
            seed=self.seed,
            details={**details, UNCOVERED: missing} if missing else details,
            digest=origin.digest,
            step=origin.step,
        )

    def keep(self, result: EvaluationResult) -> None:
        """Adds a result to the file that keeps it, if there is one."""
        results = self._results_file(result.model)
        if results is not None:
            add_to_file(result, results)

    @property
    def _data(self) -> list[Data]:
        return [data for data in (self.train, self.test) if data is not None]

    def _results_file(self, model: str | None) -> Path | None:
        """Returns the file that keeps the results of a model; None if no file keeps them."""
        if self.results is not None:
            return Path(self.results)
        run = None if model is None else self.features.run_of(model)
        return None if run is None else run / "evaluations.jsonl"

    def _stored(self, name: str, several_labels: bool) -> FeatureSet:
        features = open_features(name.removeprefix(_STORED))
        if not several_labels and features.class_names is not None:
            features = features.selected(labelled_numbers(features.classes, name))
        return features.of_stages(self.features.stages) if self.features.stages else features


def _is_stored(data: Data) -> bool:
    """Returns whether data are stored features: `features:DIR`, or the directory alone."""
    return isinstance(data, str) and (data.startswith(_STORED) or (Path(data) / MANIFEST).is_file())
