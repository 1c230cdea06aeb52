"""Learning rates of a whole run in NumPy, as in SwAV's script and in VISSL with fvcore's schedulers."""

import dataclasses
import math
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Launch:
    """The machines and images of a run with the released code. Steps and learning rates follow from them."""

    num_nodes: int
    images_per_gpu: int
    num_images: int
    num_epochs: int
    gpus_per_node: int = 8

    @property
    def num_gpus(self) -> int:
        return self.num_nodes * self.gpus_per_node

    @property
    def global_batch_size(self) -> int:
        return self.num_gpus * self.images_per_gpu

    @property
    def num_steps(self) -> int:
        """Number of steps. Every GPU gets equally many images, and the last batch is dropped (`DROP_LAST`)."""
        return self.num_epochs * (math.ceil(self.num_images / self.num_gpus) // self.images_per_gpu)

    def resolve(self, scheduler: dict[str, Any], base_value: float, base_batch_size: int = 256) -> dict[str, Any]:
        """Returns a scheduler with the learning rates that VISSL's `infer_learning_rate` computes.

        A linear warm-up starts at the rate for the batch of one node and ends at the rate for the whole batch. All
        other schedulers start at the rate for the whole batch, and keep the ratio of the rates in the file.
        """
        rate = base_value * self.global_batch_size / base_batch_size
        if scheduler["name"] == "linear":
            node_rate = base_value * self.gpus_per_node * self.images_per_gpu / base_batch_size
            return scheduler | {"start_value": node_rate, "end_value": rate}
        if scheduler["name"] == "cosine":
            return scheduler | {
                "start_value": rate,
                "end_value": rate * (scheduler["end_value"] / scheduler["start_value"]),
            }
        if scheduler["name"] == "multistep":
            ratio = round(scheduler["values"][1] / scheduler["values"][0], 6)
            return scheduler | {"values": [round(rate * ratio**index, 8) for index in range(len(scheduler["values"]))]}
        return scheduler | {"value": rate}


def swav_cosine(num_steps: int, warmup_steps: int, start: float, peak: float, final: float) -> np.ndarray:
    """Returns the rates that main_swav.py lists: a linspace and a cosine."""
    warmup = np.linspace(start, peak, warmup_steps)
    rest = np.arange(num_steps - warmup_steps)
    cosine = final + 0.5 * (peak - final) * (1 + np.cos(np.pi * rest / (num_steps - warmup_steps)))
    return np.concatenate([warmup, cosine])


def vissl_cosine(num_steps: int, warmup_steps: int, start: float, peak: float, final: float) -> np.ndarray:
    """Returns the rates of a composite schedule. The warm-up is rescaled to its interval, and the cosine is not."""
    where = np.arange(num_steps) / num_steps
    length = warmup_steps / num_steps
    warmup = start + (peak - start) * where[:warmup_steps] / (length or 1)
    cosine = final + 0.5 * (peak - final) * (1 + np.cos(np.pi * where[warmup_steps:]))
    return np.concatenate([warmup, cosine])
