"""A view that replaces bad images, counts them and names them in the log, so that a stream of images has no holes.

The replacement for a bad image is the next usable image in the order of the source; the first image follows the last
one. The replacement depends on the images alone, so the stream is the same for any number of workers and from any step.
"""

import threading
from collections.abc import Callable

from absl import logging

from seer_tf.data.images import acceptance
from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.view import View
from seer_tf.errors import InputError
from seer_tf.quantities import counted

_NUM_NAMED = 100


class ReplacingSource(View):
    """The images of another source under the same numbers; `read` returns a replacement for a bad image."""

    _remedy = "repair the images, or raise `data.max_bad_fraction`."

    def __init__(self, source: Source, max_bad_fraction: float) -> None:
        """Wraps `source`; a larger fraction of bad images than `max_bad_fraction` is an error."""
        super().__init__(source)
        self.images_per_block = source.images_per_block
        self._max_bad_fraction = max_bad_fraction
        self._bad: dict[int, str] = {}
        self._replacements: dict[int, int] = {}
        self._lock = threading.Lock()

    @property
    def num_bad(self) -> int:
        """Number of bad images that were found so far."""
        return len(self._bad)

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index` or of its replacement; header and size are good.

        Raises:
            InputError: Too many images are bad, or the file or directory that holds the images has vanished.
        """
        encoded, reason = self._judge(self._replacements.get(index, index), acceptance.header_reject_reason)
        return encoded if reason is None else self._replace(index, reason)

    def read_replacement(self, index: int) -> bytes:
        """Returns the encoded bytes of the replacement for image `index`, which has a good header and does not decode.

        Raises:
            InputError: Too many images are bad, or the file or directory that holds the images has vanished.
        """
        encoded, reason = self._judge(self._replacements.get(index, index), acceptance.reject_reason)
        return encoded if reason is None else self._replace(index, reason)

    def _allowance(self) -> str:
        return f"data.max_bad_fraction={self._max_bad_fraction:g} allows"

    def _judge(self, index: int, judge: Callable[[bytes], str | None]) -> tuple[bytes, str | None]:
        try:
            encoded = self._source.read(index)
        except UnusableImageError as error:
            return b"", str(error)
        return encoded, judge(encoded)

    def _replace(self, index: int, reason: str) -> bytes:
        with self._lock:
            self._count(index, reason)
            for step in range(1, self.num_images):
                other = (index + step) % self.num_images
                if other in self._bad or not self._may_replace(index, other):
                    continue
                encoded, reason_against = self._judge(other, acceptance.reject_reason)
                if reason_against is None:
                    self._replacements[index] = other
                    return encoded
                self._count(other, reason_against)
        raise InputError(f"not one of {counted(self.num_images, 'image')} can be used; the last: {self._bad[index]}.")

    def _may_replace(self, index: int, other: int) -> bool:
        """Whether image `other`, if it can be used, may replace image `index`."""
        return True

    def _count(self, index: int, reason: str) -> None:
        """Notes a bad image once; raises an error when too many are bad."""
        if index in self._bad:
            return
        self._bad[index] = f"{self.ids[index]}: {reason}"
        if self.num_bad > self._max_bad_fraction * self.num_images:
            raise InputError(
                f"{self.num_bad} of {counted(self.num_images, 'image')} cannot be used, more than {self._allowance()}, "
                f"the last {self._bad[index]}; {self._remedy}"
            )
        if self.num_bad <= _NUM_NAMED or self.num_bad % _NUM_NAMED == 0:
            logging.warning("%s; another image replaces it, %d so far", self._bad[index], self.num_bad)
