"""A source whose bad images are replaced, counted and named, so that a stream of images has no holes.

In place of an image that cannot be used stands the next usable one in the source's order, after the last the first: a
function of the images alone, so that the stream stays the same on any number of workers and from any step on.
"""

import threading
from collections.abc import Callable

from absl import logging

from seer_tf.data.images import decode
from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.view import View
from seer_tf.errors import InputError

_NUM_NAMED = 100


class ReplacingSource(View):
    """The images of another source, as many, under the same numbers."""

    def __init__(self, source: Source, max_bad_fraction: float) -> None:
        """Wraps `source`; more bad images than `max_bad_fraction` of all are an error."""
        super().__init__(source)
        self._max_bad_fraction = max_bad_fraction
        self._bad: dict[int, str] = {}
        self._stand_ins: dict[int, int] = {}
        self._lock = threading.Lock()

    @property
    def num_bad(self) -> int:
        """Number of images that were found bad so far."""
        return len(self._bad)

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`, or of the one that stands in for it; header and size are good.

        Raises:
            InputError: too many images are bad, or the place that they lie in has vanished.
        """
        encoded, reason = self._judged(self._stand_ins.get(index, index), decode.header_reject_reason)
        return encoded if reason is None else self._replaced(index, reason)

    def replace(self, index: int) -> bytes:
        """Returns the encoded bytes of what stands in for image `index`, which was read but does not decode.

        Raises:
            InputError: too many images are bad, or the place that they lie in has vanished.
        """
        encoded, reason = self._judged(self._stand_ins.get(index, index), decode.reject_reason)
        return encoded if reason is None else self._replaced(index, reason)

    def _judged(self, index: int, judge: Callable[[bytes], str | None]) -> tuple[bytes, str | None]:
        try:
            encoded = self._source.read(index)
        except UnusableImageError as error:
            return b"", str(error)
        return encoded, judge(encoded)

    def _replaced(self, index: int, reason: str) -> bytes:
        with self._lock:
            self._count(index, reason)
            for step in range(1, self.num_images):
                other = (index + step) % self.num_images
                if other in self._bad:
                    continue
                encoded, reason_against = self._judged(other, decode.reject_reason)
                if reason_against is None:
                    self._stand_ins[index] = other
                    return encoded
                self._count(other, reason_against)
        raise InputError(f"not one of the {self.num_images} images can be used; the last: {self._bad[index]}.")

    def _count(self, index: int, reason: str) -> None:
        """Notes a bad image, once, and stops everything where there are too many."""
        if index in self._bad:
            return
        self._bad[index] = f"{self.ids[index]}: {reason}"
        if self.num_bad > self._max_bad_fraction * self.num_images:
            raise InputError(
                f"{self.num_bad} of {self.num_images} images cannot be used, more than data.max_bad_fraction="
                f"{self._max_bad_fraction:g} allows, the last {self._bad[index]}; mend the images, or allow more."
            )
        if self.num_bad <= _NUM_NAMED or self.num_bad % _NUM_NAMED == 0:
            logging.warning("%s; another stands in for it, %d so far", self._bad[index], self.num_bad)
