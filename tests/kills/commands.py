"""The commands that are killed: how each is started, and what of its output must be equal in the end."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from seer_tf.data.sources.builtin import class_names, render_image
from seer_tf.files import sealed_json
from seer_tf.models import RegNetY
from seer_tf.training import tensor_store
from seer_tf.training.run_directory import RunDirectory

_IMAGES, _STEPS = 48, 10  # one epoch has 12 steps, so that all kills of a run are within one epoch
_TRAINING = {
    "data.global_batch_size": 4,
    "run.log_every_steps": 1,
    "run.checkpoint_every_steps": 1,
    "run.keep_checkpoints": 100,
    "run.steps_per_call": 1,
}


@dataclasses.dataclass(frozen=True)
class Command:
    """A command that is killed at random moments.

    Attributes:
        flags: Returns the command's name and flags for an output path.
        facts: Returns what must be equal to the output of an uninterrupted command, by name. Before the command has
            ended it returns what is complete so far, and raises an error for what is half-written.
        num_workers: Number of processes.
    """

    flags: Callable[[pathlib.Path, pathlib.Path], list[str]]
    facts: Callable[[pathlib.Path], Mapping[str, Any]]
    num_workers: int = 1


def prepare(place: pathlib.Path) -> None:
    """Writes the images and the network that the commands read."""
    for index in range(_IMAGES):
        encoded, label = render_image("train", index)
        folder = place / "images" / class_names[label % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.jpg").write_bytes(encoded)
    for name in ("a", "b"):
        (place / "test" / name).mkdir(parents=True)
        for index in range(4):
            (place / "test" / name / f"{index}.jpg").write_bytes(render_image("test", index + 4 * (name == "b"))[0])
    for name in ("a", "b"):
        (place / "train" / name).mkdir(parents=True)
        for index in range(_IMAGES // 2):
            encoded, _ = render_image("train", index + _IMAGES * (name == "b"))
            (place / "train" / name / f"{index}.jpg").write_bytes(encoded)
    RegNetY("90MF", stem_stride=1).save(place / "network.keras")


def _prepare_shards(place: pathlib.Path, output: pathlib.Path) -> list[str]:
    return ["prepare_shards", f"--data=folder:{place / 'images'}", f"--output={output}", "--shard_mb=0.01", "--jobs=2"]


def _extract(place: pathlib.Path, output: pathlib.Path) -> list[str]:
    data = f"--data=folder:{place / 'images'}"
    return ["extract_features", data, f"--output={output}", "--pixels=histogram", "--shard_mb=0.001", "--batch_size=4"]


def _pretrain(
    place: pathlib.Path, output: pathlib.Path, *, recipe: str = "debug_tiny", sizes_px: str = "16,8"
) -> list[str]:
    settings = {**_TRAINING, "run.num_steps": _STEPS, "crops.sizes_px": sizes_px, "run.examine_every_steps": 3}
    data = [f"--data=folder:{place / 'images'}", f"--recipe={recipe}", "--on_trouble=recover"]
    return ["pretrain", *data, f"--run_dir={output}", *_set({**settings, "schedule.warmup_steps": 2})]


def _finetune(place: pathlib.Path, output: pathlib.Path) -> list[str]:
    settings = {**_TRAINING, "schedule.num_epochs": 0.8}
    data = [f"--train_data=folder:{place / 'train'}", f"--test_data=folder:{place / 'test'}"]
    start = [f"--model={place / 'network.keras'}", "--recipe=finetune_small"]
    return ["finetune", *start, *data, f"--run_dir={output}", *_set(settings)]


def _export(place: pathlib.Path, output: pathlib.Path) -> list[str]:
    model = f"--model={place / 'network.keras'}"
    return ["export", model, f"--images=folder:{place / 'test'}", f"--output={output}", "--formats=saved_model,keras"]


def _set(settings: Mapping[str, object]) -> list[str]:
    return [f"--set={field}={value}" for field, value in settings.items()]


def _every_byte(output: pathlib.Path) -> dict[str, bytes]:
    """Returns the content of all visible files."""
    files = (path for path in output.glob("*") if path.is_file() and path.name[0] != ".")
    return {path.name: path.read_bytes() for path in files}


def _run(output: pathlib.Path) -> dict[str, Any]:
    """Returns the tensors of all checkpoints, each of which must be readable, and the results of the run."""
    run, facts = RunDirectory(output), dict[str, Any]()
    if run.holds_a_run():
        facts["kind"] = run.kind()
    for step in run.checkpoint_steps():
        path = run.checkpoint(step)
        tensors = tensor_store.read(path, tensor_store.shapes(path))
        facts[path.name] = b"".join(np.asarray(tensors[name]).tobytes() for name in sorted(tensors))
    for name in ("evaluations.jsonl", "history.jsonl", "conclusion.json"):
        if (output / name).exists():
            facts[name] = {_without_times(line) for line in (output / name).read_bytes().splitlines()[-1:]}
    return facts


def _without_times(line: bytes) -> str:
    is_object = line.startswith(b"{") and line.endswith(b"}")
    values: dict[str, Any] = sealed_json.parse(line) if is_object else {"text": line.decode()}
    values.pop("seconds", None)
    values["numbers"] = sorted(values.get("numbers") or {})
    return json.dumps(values)


def _exported(output: pathlib.Path) -> dict[str, Any]:
    """Returns the names of all files, and the metadata. TensorFlow writes no two equal SavedModels."""
    if not output.exists():
        return {}
    metadata = json.loads((output / "metadata.json").read_text())
    names = [path.relative_to(output).as_posix() for path in sorted(output.rglob("*"))]
    return {"names": names, "metadata": sorted(metadata)}


COMMANDS = {
    "prepare_shards": Command(_prepare_shards, _every_byte),
    "extract_features": Command(_extract, _every_byte),
    "pretrain": Command(_pretrain, _run),
    **{
        f"pretrain_{method}": Command(functools.partial(_pretrain, recipe=f"{method}_cifar10", sizes_px="16"), _run)
        for method in ("moco_v2", "byol")
    },
    "pretrain_two": Command(_pretrain, _run, num_workers=2),
    "finetune": Command(_finetune, _run),
    "export": Command(_export, _exported),
}
