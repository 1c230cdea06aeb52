"""The base class of sources that show the images of another source in a different way."""

import numpy as np

from seer_tf.data.sources.base import Source


class View(Source):
    """The images of another source. Every attribute of `Source` is forwarded; a subclass overrides what it changes."""

    def __init__(self, source: Source) -> None:
        """Wraps `source`."""
        self._source = source
        self.ids, self.class_names = source.ids, source.class_names
        self.rejected, self.is_verified = source.rejected, source.is_verified

    @property
    def num_images(self) -> int:
        """Number of images."""
        return self._source.num_images

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None unless each image has exactly one."""
        return self._source.labels

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns all classes of image `index`: none, one or several."""
        return self._source.classes_of(index)

    def absent_of(self, index: int) -> tuple[int, ...] | None:
        """Returns the classes that image `index` is known to lack; None for all that it does not have."""
        return self._source.absent_of(index)

    def fingerprint(self, *, with_classes: bool = True) -> str:
        """Returns a SHA-256 in hex that identifies the images."""
        return self._source.fingerprint(with_classes=with_classes)

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        return self._source.read(index)
