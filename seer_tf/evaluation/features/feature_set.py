"""The features of one set of images with their origin, ids, fingerprints and classes; in memory or in files.

Shapes: N images, D numbers of a feature.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.sources.base import Source
from seer_tf.distributed.inference import InferenceDevices
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import feature_batches
from seer_tf.evaluation.features.fingerprints import FingerprintedSource, fingerprints
from seer_tf.evaluation.features.rows import Rows, SelectedRows
from seer_tf.evaluation.features.stages import Pooling, StageFeatures


@dataclasses.dataclass(frozen=True)
class Origin:
    """The origin of features. Two sets can be compared if their origins are equal except for the data.

    Attributes:
        model: Name of the model, as the user gave it.
        digest: Digest of the model's weights and normalisation.
        transform: Transform of the images.
        poolings: Poolings by stage.
        data: Data flag of the images.
        step: Step of the run that the model is from; None if unknown.
    """

    model: str
    digest: str
    transform: Transform
    poolings: Mapping[str, Pooling]
    data: str
    step: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of the images of one source.

    Attributes:
        origin: Origin of the features.
        rows: Float16 or float32 [N, D] by stage.
        ids: Names of the images.
        fingerprints: Fingerprints of the files, uint64 [N].
        class_names: Names of the classes; None without classes.
        classes: Classes of each image, any number for each; all empty without classes.
        absent: Classes that each image is known to lack; None for all classes that it does not have.
    """

    origin: Origin
    rows: Mapping[str, Rows]
    ids: Sequence[str]
    fingerprints: np.ndarray
    class_names: tuple[str, ...] | None
    classes: Sequence[tuple[int, ...]]
    absent: Sequence[tuple[int, ...]] | None = None

    @property
    def num_images(self) -> int:
        """Returns N."""
        return len(self.ids)

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 [N]; None unless each image has exactly one class."""
        if self.class_names is None or any(len(classes) != 1 for classes in self.classes):
            return None
        return np.array(self.classes, np.int64)[:, 0]

    def selected(self, numbers: np.ndarray) -> "FeatureSet":
        """Returns the features of some images, by their numbers in rising order, int64 [n]; nothing is read."""
        if len(numbers) == self.num_images:
            return self
        return dataclasses.replace(
            self,
            rows={stage: SelectedRows(rows, numbers) for stage, rows in self.rows.items()},
            ids=[self.ids[number] for number in numbers],
            fingerprints=self.fingerprints[numbers],
            classes=[self.classes[number] for number in numbers],
            absent=None if self.absent is None else [self.absent[number] for number in numbers],
        )

    def of_stages(self, stages: Sequence[str]) -> "FeatureSet":
        """Returns the features of some of the stages.

        Raises:
            InputError: The set has no features of such a stage.
        """
        for stage in stages:
            if stage not in self.rows:
                raise InputError.unknown(f"stage in the features of {self.origin.data}", stage, self.rows)
        poolings = {stage: self.origin.poolings[stage] for stage in stages}
        return dataclasses.replace(
            self,
            origin=dataclasses.replace(self.origin, poolings=poolings),
            rows={stage: self.rows[stage] for stage in stages},
        )


@dataclasses.dataclass(frozen=True)
class Extractor:
    """Computes features from images.

    Attributes:
        features: Function from uint8 [B, s, s, 3] to float32 [B, D] by stage.
        poolings: Poolings of these stages.
        model: Name of the model, as the user gave it.
        digest: Digest of the model's weights and normalisation.
        transform: Transform that prepares the images.
        batch_size: Number of images in a batch.
        devices: Devices that compute.
        step: Step of the run that the model is from; None if unknown.
    """

    features: StageFeatures
    poolings: Mapping[str, Pooling]
    model: str
    digest: str
    transform: Transform
    batch_size: int = 128
    devices: InferenceDevices = dataclasses.field(default_factory=InferenceDevices)
    step: int | None = None

    def origin(self, data: str) -> Origin:
        """Returns the origin of the features of this data."""
        return Origin(self.model, self.digest, self.transform, self.poolings, data, self.step)

    def batches(self, source: Source, *, label: str = "features") -> Iterator[dict[str, np.ndarray]]:
        """Yields float32 [b, D] by stage for each batch of a source's images, in order.

        Raises:
            InputError: `feature_batches` raises it.
        """
        images = images_dataset(source, self.transform, batch_size=self.batch_size)
        return feature_batches(self.features, images, source.ids, devices=self.devices, label=label)

    def extract(self, source: Source, data: str, *, label: str = "features") -> FeatureSet:
        """Returns the features of all images in a source, in memory.

        Raises:
            InputError: `feature_batches` raises it.
        """
        read = FingerprintedSource(source)
        batches = list(self.batches(read, label=label))
        rows = {stage: np.concatenate([batch[stage] for batch in batches]) for stage in self.poolings}
        return self._feature_set(source, data, rows, read.fingerprints)

    def with_fingerprints(self, source: Source, data: str) -> FeatureSet:
        """Returns metadata only, for features that are recomputed in each epoch. Reads every file once."""
        return self._feature_set(source, data, {}, fingerprints(source.read, source.num_images))

    def metadata(self, source: Source, data: str) -> FeatureSet:
        """Returns the metadata that is known without reading files, for checks of the labels."""
        return self._feature_set(source, data, {}, np.zeros(0, np.uint64))

    def _feature_set(self, source: Source, data: str, rows: Mapping[str, Rows], fingerprints: np.ndarray) -> FeatureSet:
        classes = [source.classes_of(number) for number in range(source.num_images)]
        absent = absent_classes(source, range(source.num_images))
        return FeatureSet(self.origin(data), rows, source.ids, fingerprints, source.class_names, classes, absent)


def absent_classes(source: Source, numbers: Sequence[int]) -> list[tuple[int, ...]] | None:
    """Returns the classes that some images of a source are known to lack; None where the source does not say."""
    found = [source.absent_of(number) for number in numbers]
    return None if None in found else [absent for absent in found if absent is not None]
