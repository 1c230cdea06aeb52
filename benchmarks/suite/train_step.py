"""A whole step of SwAV with RegNetY-400MF, from uint8 crops to new weights: time and memory.

The peers are the same step in PyTorch, and our step with the same network from stock Keras layers. Times are measured
in turn in this process. Memory is measured in fresh processes with one contestant each.
"""

import dataclasses
import functools
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.harness import own_process
from benchmarks.harness.comparison import Case, Comparison, Contestant, compare
from benchmarks.harness.floors import Work
from benchmarks.harness.settings import Settings
from benchmarks.peers.stock_keras import stock_regnety
from benchmarks.suite import one_step
from seer_tf.config import Config
from seer_tf.methods.swav.model import SwavModel
from seer_tf.models import SwavHead
from seer_tf.models.backbones.regnet.design import design
from seer_tf.pretraining.planning import plan

_CROPS_PX, _QUICK_CROPS_PX = ((96, 48), (224, 96)), ((32, 16),)
_VARIANT, _QUICK_VARIANT = "400MF", "90MF"
_IMAGES, _QUICK_IMAGES = 32, 4
_MEMORY_STEPS, _MEMORY_ROUNDS = 3, 3
_KEEPING = "backbone.activation_checkpointing=convolution"
_OURS_KEEPING = f"{one_step.OURS}, {_KEEPING}"


def cases(settings: Settings) -> Iterator[Case]:
    """Yields the time of a step beside PyTorch and beside stock Keras layers, then the memory of the step."""
    images, variant = (_QUICK_IMAGES, _QUICK_VARIANT) if settings.quick else (_IMAGES, _VARIANT)
    network = [f"data.global_batch_size={images}", f"backbone.variant={variant}"]
    steps = {
        f"2 x {large} + 4 x {small} px": [*network, f"crops.sizes_px={large},{small}"]
        for large, small in (_QUICK_CROPS_PX if settings.quick else _CROPS_PX)
    }
    of_what = f"SwAV step, RegNetY-{variant}, {images} images"
    for crops, fields in steps.items():
        yield Case(f"{of_what}, {crops}, float32", functools.partial(_beside_pytorch, settings.torch_kinds, fields))
    yield Case(f"{of_what}, 2 x 64 px, float32, stock Keras", functools.partial(_beside_stock_keras, network))
    for crops, fields in steps.items():
        title = f"memory of a {of_what}, {crops}, float32"
        yield Case(title, functools.partial(_memory, settings.torch_kinds, fields))


def _beside_pytorch(kinds: Iterable[str], fields: Sequence[str], title: str, rounds: int) -> Comparison:
    config = one_step.config_of(fields)
    contestants = {name: one_step.step_of(name, config) for name in (one_step.OURS, *kinds)}
    contestants[_OURS_KEEPING] = one_step.tf_step(one_step.config_of([*fields, _KEEPING]))
    return _compared(title, contestants, config, rounds)


def _beside_stock_keras(network: Sequence[str], title: str, rounds: int) -> Comparison:
    config = one_step.config_of(
        [
            *network,
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
    contestants = {one_step.OURS: one_step.tf_step(config), "stock Keras layers": one_step.tf_step(config, model=stock)}
    return _compared(title, contestants, config, rounds)


def _compared(title: str, contestants: Mapping[str, Contestant], config: Config, rounds: int) -> Comparison:
    work = Work(flops=plan(config, num_devices=1).step_flops)
    return compare(title, contestants, rounds=rounds, work=work, num_images=config.data.global_batch_size)


@dataclasses.dataclass(frozen=True)
class Memory:
    """Memory that steps needed, in fresh processes.

    Attributes:
        title: Description of the step.
        measured: Measurements of each process by contestant, ours first.
    """

    title: str
    measured: Mapping[str, Sequence[own_process.Measured]]

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
        """Returns all measurements as JSON values."""
        measured = {name: [dataclasses.asdict(each) for each in found] for name, found in self.measured.items()}
        return {"title": self.title, "measured": measured}

    def _median(self, name: str) -> float:
        return statistics.median(process.needed_mib for process in self.measured[name])


def _memory(kinds: Iterable[str], fields: Sequence[str], title: str, rounds: int) -> Memory:
    cases = {name: [name, _MEMORY_STEPS, *fields] for name in (one_step.OURS, *kinds)}
    cases[_OURS_KEEPING] = [*cases[one_step.OURS], _KEEPING]
    found: dict[str, list[own_process.Measured]] = {name: [] for name in cases}
    for _ in range(min(rounds, _MEMORY_ROUNDS)):
        for name, case in cases.items():
            found[name].append(own_process.measured("one_step", *case))
    return Memory(title, found)
