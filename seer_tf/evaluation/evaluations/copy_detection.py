"""Copy detection: which of the test images are copies of a training image?

The mean average precision is measured on CopyDays, whose images have numbers at the end of their names.
"""

import dataclasses
import functools

import numpy as np

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import Data, check_source, name_of, open_source
from seer_tf.data.sources.usable import usable
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.report import Report
from seer_tf.evaluation.features.descriptors import POOLINGS, descriptors, fitted_whitening, image_regions
from seer_tf.evaluation.features.extract import model_digest
from seer_tf.evaluation.protocols.copy_detection import Copy, block_of, copy_detection, likely_copies
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.evaluation.result import EvaluationResult, mean_interval
from seer_tf.models import Encoder
from seer_tf.quantities import counted


def evaluate(
    request: EvaluationRequest,
    *,
    distractors: Data | None = None,
    whitening_data: Data | None = None,
    stage: str = "res4",
    pooling: str = POOLINGS[0],
    longer_side_px: int = 224,
    num_components: int = 1024,
) -> Report:
    """Searches the originals, which are the training images, and the distractors for each test image.

    Args:
        request: A network, originals and copies, with names as in CopyDays.
        distractors: Images that are added to the originals and have no copies; None for none.
        whitening_data: Other images, for fitting a whitening; None for no whitening.
        stage: Stage whose map is pooled.
        pooling: One of `descriptors.POOLINGS`.
        longer_side_px: Longer side of the images, in pixels.
        num_components: Largest dimension of whitened descriptors.

    Raises:
        InputError: The names are not those of CopyDays, or the data cannot be used.
    """
    search = CopySearch(request, distractors, whitening_data, stage, pooling, longer_side_px, num_components)
    if not search.has_names_of_copydays:
        raise InputError(
            "no name in `test` ends in a number of CopyDays that is also in `train`, so there is nothing to measure"
        )
    return search.report()


@dataclasses.dataclass(frozen=True, eq=False)
class CopySearch:
    """A search for copies. The attributes are the arguments of `evaluate`.

    The paths are checked at once. The descriptors are computed when they are first needed.
    """

    request: EvaluationRequest
    distractors: Data | None
    whitening_data: Data | None
    stage: str
    pooling: str
    longer_side_px: int
    num_components: int

    def __post_init__(self) -> None:
        """Raises an `InputError` if something is missing."""
        self.request.both()
        self.request.features.check_only("model", "untrained")
        self.request.check_places()
        for data in (self.distractors, self.whitening_data):
            if data is not None:
                check_source(data)

    @functools.cached_property
    def originals(self) -> Source:
        """The images that may have been copied."""
        return usable(open_source(self.request.both()[0]))

    @functools.cached_property
    def images(self) -> Source:
        """The images that may be copies."""
        return usable(open_source(self.request.both()[1]))

    @property
    def has_names_of_copydays(self) -> bool:
        """Whether an image is a copy of an original by its name."""
        of_originals, of_images = ({block_of(name) for name in part.ids} for part in (self.originals, self.images))
        return bool((of_originals & of_images) - {None})

    def likely_copies(self, threshold: float) -> list[Copy]:
        """Returns the images whose nearest original has this cosine similarity or more."""
        bank = self._found.bank[: self.originals.num_images]
        return likely_copies(bank, self.originals.ids, self._found.rows, self.images.ids, threshold=threshold)

    def report(self) -> Report:
        """Returns the mean average precision over the images that are copies of an original.

        Raises:
            InputError: No image is one, by its name.
        """
        bank, rows = self._found.bank, self._found.rows
        blocks: list[int | None] = [None] * len(bank)
        blocks[: self.originals.num_images] = [block_of(name) for name in self.originals.ids]
        found = copy_detection(bank, blocks, rows, [block_of(name) for name in self.images.ids])
        first = float(found.is_first.mean())
        result = EvaluationResult(
            evaluation="copy_detection",
            protocol=self._protocol(),
            metric="mAP",
            value=float(found.average_precisions.mean()),
            interval=mean_interval(found.average_precisions, seed=self.request.seed),
            model=self.request.features.name,
            train_data=None if self.whitening_data is None else name_of(self.whitening_data),
            test_data=name_of(self.request.both()[1]),
            num_train_images=0,
            num_test_images=len(found.queries),
            num_classes=self.originals.num_images,
            seed=self.request.seed,
            details={
                "first": first,
                "stage": self.stage,
                "pooling": self.pooling,
                "longer_side_px": self.longer_side_px,
                "is_whitened": self.whitening_data is not None,
                "has_distractors": self.distractors is not None,
            },
            digest=self._found.digest,
            step=self._found.step,
        )
        row = (f"{len(found.queries)}", f"{100 * result.value:.2f} %", f"{100 * first:.2f} %")
        return Report(result, ("copies", "mAP", "nearest is the original"), [row])

    def _protocol(self) -> str:
        size = self._found.rows.shape[1]
        whitened = "not whitened" if self.whitening_data is None else f"whitened to {counted(size, 'number')}"
        num_originals = self.originals.num_images
        return (
            f"{self.pooling} of {self.stage} at {self.longer_side_px} px, {whitened}; "
            f"{counted(num_originals, 'original')}, {counted(len(self._found.bank) - num_originals, 'distractor')}"
        )

    @functools.cached_property
    def _found(self) -> "_Descriptors":
        images, originals = self.images, self.originals
        distractors, others = (
            None if data is None else usable(open_source(data)) for data in (self.distractors, self.whitening_data)
        )
        encoder, step = self.request.features.network()
        whitening = None
        if others is not None:
            regions = self._regions(encoder, others, "images for the whitening")
            whitening = fitted_whitening(regions, self.num_components)

        def described(source: Source, label: str) -> np.ndarray:
            return descriptors(self._regions(encoder, source, label), whitening)

        bank = [described(originals, "originals")]
        bank += [] if distractors is None else [described(distractors, "distractors")]
        return _Descriptors(np.concatenate(bank), described(images, "images"), model_digest(encoder), step)

    def _regions(self, encoder: Encoder, source: Source, label: str) -> list[np.ndarray]:
        return image_regions(
            encoder, source, stage=self.stage, pooling=self.pooling, size_px=self.longer_side_px, label=label
        )


@dataclasses.dataclass(frozen=True, eq=False)
class _Descriptors:
    """Descriptors of originals, then distractors, [N, D]; of the images, [M, D]; and which network made them."""

    bank: np.ndarray
    rows: np.ndarray
    digest: str
    step: int | None
