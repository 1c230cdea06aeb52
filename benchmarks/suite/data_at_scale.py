"""Reading shards of a billion images without bytes from a simulated store that takes 5 ms for each call."""

import collections
import dataclasses
import functools
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from benchmarks.harness import simulated_shards
from benchmarks.harness.comparison import Case
from benchmarks.harness.settings import Settings
from seer_tf.config import DataConfig
from seer_tf.config.pretraining import ORDERS
from seer_tf.data.pipelines import read
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.shards import open_shards
from seer_tf.pretraining.task import in_order

_MS_PER_CALL = 5
_NUM_IMAGES, _QUICK_IMAGES = 10**9, 10**5
_BATCH = 256
_STEPS, _QUICK_STEPS = 64, 4


@dataclasses.dataclass(frozen=True)
class Reading:
    """What opening and reading took.

    Attributes:
        title: Title of the case.
        parts: Images, seconds, calls, and MB of further memory, for opening and for each order.
    """

    title: str
    parts: Mapping[str, Mapping[str, float]]

    def table(self) -> str:
        """Returns a row for opening, and one for each order."""
        lines = [
            f"### {self.title}\n",
            "| | seconds | images/s | calls | calls per image | memory, MB |",
            "|---" * 6 + "|",
        ]
        for name, found in self.parts.items():
            cells = [name, f"{found['seconds']:.1f}", "", f"{found['calls']:,.0f}", "", f"{found['memory_mb']:,.0f}"]
            if found["images"]:
                cells[2] = f"{found['images'] / found['seconds']:,.0f}"
                cells[4] = f"{found['calls'] / found['images']:.3f}"
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Returns all numbers."""
        return dataclasses.asdict(self)


def cases(settings: Settings) -> Iterator[Case]:
    """Yields the one case."""
    num_images, num_steps = (_QUICK_IMAGES, _QUICK_STEPS) if settings.quick else (_NUM_IMAGES, _STEPS)
    title = f"{num_images:,} images without bytes, {_MS_PER_CALL} ms for each call, batches of {_BATCH}"
    yield Case(title, functools.partial(_read, num_images, num_steps))


def _read(num_images: int, num_steps: int, title: str, rounds: int) -> Reading:
    del rounds
    opened: list[Source] = []
    parts = {
        "opening": _measured(lambda: opened.append(open_shards(f"far://{_MS_PER_CALL}/{num_images}")), 0),
        **{f"data.order={order}": _read_in(order, opened[0], num_steps) for order in ORDERS},
    }
    return Reading(title, parts)


def _read_in(order: str, source: Source, num_steps: int) -> dict[str, float]:
    """Reads the images of some steps as a worker with a whole batch does, without decoding."""
    images, find = in_order(DataConfig(order=order, global_batch_size=_BATCH), source, _BATCH)
    chunks = tf.data.Dataset.range(num_steps * _BATCH).batch(read.IMAGES_PER_READ, drop_remainder=True)
    files = read.read_files(chunks.map(lambda positions: find(positions, source.num_images, 0)), images)
    return _measured(lambda: collections.deque(files.with_options(read.options()), maxlen=0), num_steps * _BATCH)


def _measured(work: Callable[[], object], num_images: int) -> dict[str, float]:
    memory, calls, started = _most_memory_mb(), simulated_shards.calls_so_far(), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    num_calls = simulated_shards.calls_so_far() - calls - 1
    return {"images": num_images, "seconds": seconds, "calls": num_calls, "memory_mb": _most_memory_mb() - memory}


def _most_memory_mb() -> float:
    """Returns the most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
