"""Growth of time and memory for a step, for preparing and reading images, and for k-NN, in fresh processes."""

import functools
import pathlib
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.harness import growth, own_process
from benchmarks.harness.comparison import Case
from benchmarks.harness.growth import Growth
from benchmarks.harness.settings import Settings
from benchmarks.suite import nearest_neighbours, one_step

_STEP = (
    "data.global_batch_size=16",
    "crops.num=2",
    "crops.sizes_px=96",
    "crops.min_area_fractions=0.14",
    "crops.max_area_fractions=1.0",
    "swav.freeze_prototypes_steps=0",
)
_QUICK_STEP = ("backbone.variant=90MF", "data.global_batch_size=4", "head.num_prototypes=10", "crops.sizes_px=32")
#: Field of the config, description of the field, and its values.
_STEP_SIZES = (
    ("data.global_batch_size", "images in a batch", (4, 8, 16, 32, 64, 128)),
    ("crops.num", "crops of an image", (2, 4, 8, 16)),
    ("head.num_prototypes", "prototypes K", (1_000, 4_000, 16_000, 64_000)),
    ("crops.sizes_px", "side of the crops, px", (64, 96, 128, 192, 256, 384)),
)
_IMAGES = (1_000, 10_000, 100_000, 1_000_000)
_BANKS = (1_000, 10_000, 100_000, 1_000_000)
_QUICK_IMAGES = (32, 64)
_CALLS, _ROUNDS = 3, 3


def cases(settings: Settings) -> Iterator[Case]:
    """Yields the growth of a step by each of its sizes, of preparing and reading images, and of k-NN."""
    fields = (*_STEP, *_QUICK_STEP) if settings.quick else _STEP
    for field, size, sizes in _STEP_SIZES:
        title = f"a step by {size}"
        yield Case(title, functools.partial(_step, field, size, sizes[:2] if settings.quick else sizes, fields))
    images = _QUICK_IMAGES if settings.quick else [number for number in _IMAGES if number <= settings.max_images]
    yield Case("small records by number of images", functools.partial(_small_records, images))
    yield Case("k-NN by size of the bank", functools.partial(_nearest, _BANKS[:2] if settings.quick else _BANKS))


def _step(field: str, size: str, sizes: Sequence[int], fields: Sequence[str], title: str, rounds: int) -> Growth:
    def measure_at(value: int) -> Mapping[str, float]:
        found = own_process.measured("one_step", one_step.OURS, _CALLS, *fields, f"{field}={value}")
        return {"time, s": statistics.median(found.seconds), "memory, MiB": found.needed_mib}

    return growth.measure(title, size, sizes, measure_at, rounds=min(rounds, _ROUNDS))


def _small_records(sizes: Sequence[int], title: str, rounds: int) -> Growth:
    """Measures each size once, because the effect of the sizes is larger than any noise."""
    del rounds

    def measure_at(num_images: int) -> Mapping[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            directory = str(pathlib.Path(folder) / "shards")
            prepared, opened, read = (
                own_process.measured("small_records", work, num_images, directory)
                for work in ("prepare", "open", "read")
            )
        return {
            "preparing, s": prepared.first_seconds,
            "preparing, MiB": prepared.needed_mib,
            "opening and one image, s": opened.first_seconds,
            "reading all, s": read.first_seconds,
            "reading all, MiB": read.needed_mib,
        }

    return growth.measure(title, "images", sizes, measure_at, rounds=1)


def _nearest(sizes: Sequence[int], title: str, rounds: int) -> Growth:
    def measure_at(bank: int) -> Mapping[str, float]:
        found = own_process.measured("nearest_neighbours", bank)
        return {
            f"time for {nearest_neighbours.QUERIES:,} queries, s": statistics.median(found.seconds),
            "memory, MiB": found.needed_mib,
        }

    size = f"features of {nearest_neighbours.DIM} numbers in the bank"
    return growth.measure(title, size, sizes, measure_at, rounds=min(rounds, _ROUNDS))
