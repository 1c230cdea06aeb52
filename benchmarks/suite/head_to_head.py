"""The same run by seer_tf and by SwAV in PyTorch, in turn in one process, with the same crops and initial weights."""

import time
from typing import Any, Protocol

import tensorflow as tf
import torch

from benchmarks.peers import torch_weights
from benchmarks.peers.torch_swav import TorchTraining, learning_rates
from benchmarks.suite.crop_files import CropFiles
from benchmarks.suite.labelled_bank import LabelledBank
from seer_tf.config import Config
from seer_tf.distributed.strategy import Placement, make_strategy
from seer_tf.evaluation.features.extract import ImageFeatures, image_features
from seer_tf.methods.swav.model import SwavModel
from seer_tf.methods.swav.state import TrainState, initial_model
from seer_tf.methods.swav.step import train_step
from seer_tf.progress import Progress
from seer_tf.training.loop import steps_function


class Contestant(Protocol):
    """A program that trains on the crops."""

    def train(self, num_steps: int) -> list[float]:
        """Makes the next steps and returns their losses."""

    def image_features(self) -> ImageFeatures:
        """Returns a function from images to their features with the current network."""


class Ours:
    """seer_tf, with the steps function of its own training loop."""

    def __init__(self, config: Config, files: CropFiles) -> None:
        """Starts a run. The graph is built before the first step."""
        self._state, self._steps_per_call = TrainState(config), config.run.steps_per_call
        self._advance = steps_function(self._state, make_strategy(Placement("one_device", 1, None)), train_step)
        self._batches = iter(files.batches())
        _, self._batch = self._advance(next(self._batches), self._batches, tf.constant(0))
        self._features = tf.function(image_features(self._state.model), reduce_retracing=True)

    def train(self, num_steps: int) -> list[float]:
        """Makes the next steps and returns their losses."""
        losses: list[float] = []
        while len(losses) < num_steps:
            count = min(self._steps_per_call, num_steps - len(losses))
            metrics, self._batch = self._advance(self._batch, self._batches, tf.constant(count))
            losses += metrics["loss"].numpy().tolist()
        return losses

    def image_features(self) -> ImageFeatures:
        """Returns the function from images to the features of the current network."""
        return self._features


class Peer:
    """SwAV in PyTorch, not compiled, because compilation would take minutes in a run that takes minutes."""

    def __init__(self, config: Config, files: CropFiles) -> None:
        """Starts a run with our initial weights."""
        self._ours: SwavModel = initial_model(config)
        self._training = TorchTraining(config, compiled=False)
        torch_weights.to_torch(self._ours, self._training.model)
        self._crops, self._rates, self._step = files.arrays(), learning_rates(config).tolist(), 0
        self._num_frozen = config.swav.freeze_prototypes_steps
        self._features = tf.function(image_features(self._ours), reduce_retracing=True)

    def train(self, num_steps: int) -> list[float]:
        """Makes the next steps and returns their losses."""
        losses = []
        for step in range(self._step, self._step + num_steps):
            crops = [torch.from_numpy(group[step].copy()) for group in self._crops]  # the file itself is read-only
            losses.append(self._training.step(crops, self._rates[step], freeze_prototypes=step < self._num_frozen))
        self._step += num_steps
        return losses

    def image_features(self) -> ImageFeatures:
        """Returns the function from images to the features of the current network."""
        torch_weights.from_torch(self._training.model, self._ours)
        return self._features


def head_to_head(config: Config, files: CropFiles, bank: LabelledBank) -> dict[str, Any]:
    """Returns the results of both contestants.

    Args:
        config: Run configuration.
        files: Crops of the images.
        bank: Labelled images, which measure the k-NN accuracy.

    Returns:
        For "ours" and "peer" the `losses` of all steps, the `seconds` of training up to the end of each interval of
        `run.log_every_steps`, and the `examinations`: lists of step, seconds of training so far, and top-1.
    """
    run = config.run
    contestants: dict[str, Contestant] = {"ours": Ours(config, files), "peer": Peer(config, files)}
    found: dict[str, Any] = {name: {"losses": [], "seconds": [], "examinations": []} for name in contestants}
    step, order = 0, list(contestants)
    with Progress(run.num_steps, "step", f"both, seed {run.seed}") as progress:
        while True:
            if step % run.examine_every_steps == 0 or step == run.num_steps:
                for name, contestant in contestants.items():
                    top1 = bank.top1(*bank.features(contestant.image_features()))
                    found[name]["examinations"].append([step, _seconds(found[name]), top1])
            if step == run.num_steps:
                return found
            to_event = [every - step % every for every in (run.log_every_steps, run.examine_every_steps)]
            count = min(run.num_steps - step, *to_event)
            for name in order:
                started = time.perf_counter()
                found[name]["losses"] += contestants[name].train(count)
                found[name]["seconds"].append(_seconds(found[name]) + time.perf_counter() - started)
            step += count
            order.reverse()  # so that the contestants take turns at going first
            losses = ", ".join(f"{name} {found[name]['losses'][-1]:.3f}" for name in contestants)
            progress.advance(count, f"loss of {losses}")


def _seconds(found: dict[str, Any]) -> float:
    return found["seconds"][-1] if found["seconds"] else 0.0
