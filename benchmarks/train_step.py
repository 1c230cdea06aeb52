"""A whole step of SwAV with RegNetY-400MF, from uint8 crops to new weights: time and memory.

Beside it the same step in PyTorch, and our step around the same network of stock Keras layers. Time is taken in turn
in this process; memory in fresh processes, each with one contestant.
"""

import dataclasses
import functools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import one_step
from benchmarks.comparison import Case, Comparison, compare
from benchmarks.floors import Work
from benchmarks.stock_keras import stock_regnety
from seer_tf.models import SwavHead, SwavModel
from seer_tf.models.regnet_design import design
from seer_tf.planning import plan

_CROPS_PX = ((96, 48), (224, 96))
_IMAGES = 32
_MEMORY_STEPS, _MEMORY_ROUNDS = 3, 3


def cases() -> Iterator[Case]:
    """Yields the time of a step beside PyTorch and beside stock Keras layers, then its memory."""
    steps = {
        f"2 x {large} + 4 x {small} px": [f"data.global_batch_size={_IMAGES}", f"crops.sizes_px={large},{small}"]
        for large, small in _CROPS_PX
    }
    for crops, fields in steps.items():
        title = f"SwAV step, RegNetY-400MF, {_IMAGES} images, {crops}, float32"
        yield Case(title, functools.partial(_beside_pytorch, fields))
    yield Case(f"SwAV step, RegNetY-400MF, {_IMAGES} images, 2 x 64 px, float32, stock Keras", _beside_stock_keras)
    for crops, fields in steps.items():
        title = f"memory of a SwAV step, RegNetY-400MF, {_IMAGES} images, {crops}, float32"
        yield Case(title, functools.partial(_memory, fields))


def _beside_pytorch(fields: Sequence[str], title: str, rounds: int) -> Comparison:
    config = one_step.config_of(fields)
    contestants = {name: one_step.step_of(name, config) for name in one_step.CONTESTANTS}
    return compare(title, contestants, rounds=rounds, work=Work(flops=plan(config, num_devices=1).step_flops))


def _beside_stock_keras(title: str, rounds: int) -> Comparison:
    config = one_step.config_of(
        [
            "data.global_batch_size=32",
            "crops.num=2",
            "crops.sizes_px=64",
            "crops.min_area_fractions=0.14",
            "crops.max_area_fractions=1.0",
            "head.hidden_dims=512",
            "head.num_prototypes=100",
        ]
    )
    stock = SwavModel(
        stock_regnety(design(config.backbone.variant).stages()),
        SwavHead(config.head.hidden_dims, config.head.embedding_dim, config.head.num_prototypes),
        config.crops.mean,
        config.crops.std,
    )
    contestants = {"seer_tf": one_step.tf_step(config), "stock Keras layers": one_step.tf_step(config, stock)}
    return compare(title, contestants, rounds=rounds, work=Work(flops=plan(config, num_devices=1).step_flops))


@dataclasses.dataclass(frozen=True)
class Memory:
    """Memory that steps needed, in fresh processes.

    Attributes:
        title: what the step is.
        measured: of each process by contestant, ours first.
    """

    title: str
    measured: Mapping[str, Sequence[one_step.Measured]]

    def table(self) -> str:
        """Returns title and a Markdown table."""
        ours, *_ = (self._median(name) for name in self.measured)
        lines = [
            f"### {self.title}",
            "",
            "| | for the steps, MiB | peak of the process, MiB | ours / it |",
            "|---|---|---|---|",
        ]
        for name, processes in self.measured.items():
            needed, peak = self._median(name), statistics.median(process.peak_mib for process in processes)
            lines.append(f"| {name} | {needed:.0f} | {peak:.0f} | {ours / needed:.2f} |")
        return "\n".join([*lines, ""])

    def as_json(self) -> dict[str, Any]:
        """Returns all of it in JSON's types."""
        measured = {name: [dataclasses.asdict(each) for each in found] for name, found in self.measured.items()}
        return {"title": self.title, "measured": measured}

    def _median(self, name: str) -> float:
        return statistics.median(process.step_mib for process in self.measured[name])


def _memory(fields: Sequence[str], title: str, rounds: int) -> Memory:
    found: dict[str, list[one_step.Measured]] = {name: [] for name in one_step.CONTESTANTS}
    for _ in range(min(rounds, _MEMORY_ROUNDS)):
        for name, processes in found.items():
            processes.append(one_step.measured(name, _MEMORY_STEPS, fields))
    return Memory(title, found)
