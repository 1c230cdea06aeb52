"""A view on shards that reads neighbouring records at once, for disks and buckets far away."""

import functools
import threading
from collections.abc import Callable

from seer_tf.data.shards import example
from seer_tf.data.shards.tfrecord import Framed
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.view import View


class Blocks(View):
    """The images of shards. The first image that is read of `images_per_block` neighbours brings the others with it.

    The block is kept for a while. In an order that ends blocks soon (`pipelines/order.py`), every block is read once.
    """

    def __init__(self, source: Source, records: Callable[[int, int], list[Framed]], num_kept: int) -> None:
        """Wraps a source.

        Args:
            source: Images in shards.
            records: Reads the records from one image to another, without the last, at once.
            num_kept: Number of blocks that are kept in memory, those that were used last.
        """
        super().__init__(source)
        self.images_per_block = source.images_per_block
        self._records = records
        self._block = functools.lru_cache(num_kept)(self._new_block)

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        number, place = divmod(index, self.images_per_block)
        record = self._block(number).records()[place]
        return example.features(record.data())["image/encoded"].bytes_list.value[0]

    def _new_block(self, number: int) -> "_Block":
        first = number * self.images_per_block
        end = min(first + self.images_per_block, self.num_images)
        return _Block(functools.partial(self._records, first, end))


class _Block:
    """Neighbouring records, which the first thread reads that needs one of them."""

    def __init__(self, read: Callable[[], list[Framed]]) -> None:
        self._read, self._lock = read, threading.Lock()
        self._found: list[Framed] | None = None

    def records(self) -> list[Framed]:
        """Returns the records."""
        with self._lock:
            if self._found is None:
                self._found = self._read()
            return self._found
