"""Checkpoints: the delay of steps by a checkpoint in the background, and the times of writing and reading.

The peers are `torch.save` and `torch.load` of the same tensors. Our checkpoint is flushed to the disk, has checksums
that reading verifies, and is renamed at the end. The peer's file is therefore flushed too. The floor is a copy in
memory.
"""

import dataclasses
import functools
import os
import pathlib
import statistics
import tempfile
from collections.abc import Iterator, Sequence

import torch

from benchmarks.harness.comparison import Case, Comparison, compare
from benchmarks.harness.floors import Work
from benchmarks.harness.settings import Settings
from benchmarks.suite import one_step
from seer_tf.config import Config
from seer_tf.methods.swav.state import TrainState
from seer_tf.training import checkpoints, tensor_store
from seer_tf.training.checkpoints import Checkpoints
from seer_tf.training.run_directory import RunDirectory

_STEP, _QUICK_STEP = (
    ("data.global_batch_size=16", "crops.sizes_px=96,48"),
    ("data.global_batch_size=4", "crops.sizes_px=32,16"),
)
_NUM_STEPS, _QUICK_NUM_STEPS = 10, 2
_VARIANTS, _QUICK_VARIANTS = ("400MF", "16GF"), ("90MF",)


def cases(settings: Settings) -> Iterator[Case]:
    """Yields steps with and without a checkpoint, then writing and reading a checkpoint of each network."""
    variants = _QUICK_VARIANTS if settings.quick else _VARIANTS
    fields = (*(_QUICK_STEP if settings.quick else _STEP), f"backbone.variant={variants[0]}")
    num_steps = _QUICK_NUM_STEPS if settings.quick else _NUM_STEPS
    title = f"{num_steps} steps of RegNetY-{variants[0]} and a checkpoint in the background"
    yield Case(title, functools.partial(_in_the_background, fields, num_steps))
    for variant in variants:
        yield Case(f"writing a checkpoint of RegNetY-{variant}", functools.partial(_writing, variant))
        yield Case(f"reading a checkpoint of RegNetY-{variant}", functools.partial(_reading, variant))


def _in_the_background(fields: Sequence[str], num_steps: int, title: str, rounds: int) -> Comparison:
    config = one_step.config_of(fields)
    state = TrainState(config)
    step = one_step.tf_step(config, state=state)

    def steps() -> None:
        for _ in range(num_steps):
            step()

    with tempfile.TemporaryDirectory() as directory:
        written = Checkpoints(RunDirectory(directory), state)

        def saved() -> None:
            written.save()
            written.wait()

        def steps_and_checkpoint() -> None:
            written.save()
            steps()
            written.wait()

        contestants = {
            f"{num_steps} steps": steps,
            f"{num_steps} steps and a checkpoint": steps_and_checkpoint,
            "a checkpoint": saved,
        }
        found = compare(title, contestants, rounds=rounds)
    return dataclasses.replace(found, facts=_lost(found, config, num_steps))


def _lost(found: Comparison, config: Config, num_steps: int) -> dict[str, str]:
    alone, both, _ = found.seconds.values()
    lost = statistics.median(with_it - without for with_it, without in zip(both, alone, strict=True))
    interval = config.run.checkpoint_every_steps
    share = lost / (interval * statistics.median(alone) / num_steps)
    return {
        "a checkpoint takes from the steps": f"{1000 * lost:.0f} ms",
        f"of the time, with one every {interval} steps": f"{share:.2%}",
    }


def _writing(variant: str, title: str, rounds: int) -> Comparison:
    variables = TrainState(_config(variant)).named_variables()
    num_bytes = sum(variable.numpy().nbytes for variable in variables.values())
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = pathlib.Path(folder) / "step-1", pathlib.Path(folder) / "torch"

        def seer_tf() -> None:
            tensor_store.write(ours, tensor_store.host_copies(variables), {})

        def pytorch() -> None:
            tensors = {name: torch.as_tensor(variable.numpy()) for name, variable in variables.items()}
            with open(theirs, "wb") as file:
                torch.save(tensors, file)
                file.flush()
                os.fsync(file.fileno())

        found = compare(
            title, {"seer_tf": seer_tf, "torch.save": pytorch}, rounds=rounds, work=Work(num_bytes=2 * num_bytes)
        )
    return dataclasses.replace(found, facts={"MB": round(num_bytes / 1e6)})


def _reading(variant: str, title: str, rounds: int) -> Comparison:
    variables = TrainState(_config(variant)).named_variables()
    tensors = {name: torch.tensor(variable.numpy()) for name, variable in variables.items()}
    num_bytes = sum(tensor.nbytes for tensor in tensors.values())
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = pathlib.Path(folder) / "step-1", pathlib.Path(folder) / "torch"
        tensor_store.write(ours, tensor_store.host_copies(variables), {})
        torch.save(tensors, theirs)

        def pytorch() -> None:
            for name, tensor in torch.load(theirs).items():
                tensors[name].copy_(tensor)

        contestants = {
            "seer_tf": lambda: checkpoints.restore(variables, ours, strict=True),
            "torch.load": pytorch,
        }
        found = compare(title, contestants, rounds=rounds, work=Work(num_bytes=2 * num_bytes))
    return dataclasses.replace(found, facts={"MB": round(num_bytes / 1e6)})


def _config(variant: str) -> Config:
    return one_step.config_of([f"backbone.variant={variant}"])
