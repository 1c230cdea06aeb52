"""The product in small: images, shards, pretraining, evaluation, SavedModel, and a report to look at.

python experiments/demo.py [DIR] --output=demo_output
"""

import contextlib
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from seer_tf import config as configs
from seer_tf.cli import command
from seer_tf.cli.demo_findings import Findings, findings
from seer_tf.cli.demo_images import demo_images, sharded
from seer_tf.config import Config
from seer_tf.data.sources.registry import Source, open_source
from seer_tf.errors import InputError
from seer_tf.export.exporter import export
from seer_tf.files.atomic import write_atomically
from seer_tf.networks.load import load_network
from seer_tf.pretraining.recipes import RECIPES, recipe
from seer_tf.quantities import counted
from seer_tf.reports.demo_report import write_demo_report
from seer_tf.training.run_directory import RunDirectory

IMAGES = flags.DEFINE_string("images", None, "Any tree of images; class folders serve the evaluation. [built-in set]")
POSITIONAL = IMAGES
OUTPUT = flags.DEFINE_string("output", "demo_output", "Directory of everything that the demo makes.")
RECIPE = flags.DEFINE_enum("recipe", "demo", list(RECIPES), "Named config of the pretraining.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of weights, order and augmentation.")

_MARK = "demo.json"
_MIN_IMAGES = 32


def main() -> None:
    """Runs all stages; what a stage needs is in `--output`."""
    output = Path(OUTPUT.value)
    with _stage("1/4 shards"):
        train, test = _prepare(output)
    config = _config(train, f"shards:{output / 'shards' / 'train'}")
    directory = RunDirectory(output / f"run-{_digest(config, output)}")
    with _stage(f"2/4 pretraining of {config.backbone.variant} for {counted(config.run.num_steps, 'step')}"):
        _pretrain(config, directory)
    with _stage("3/4 evaluation"):
        found = findings(directory, train, test)
        print(found.table())
    with _stage("4/4 export"):
        difference = _export(directory)
        print(f"loaded in a fresh process by TensorFlow alone: largest difference {difference:.1e}")
    _write_outcome(output, directory, found)


def _write_outcome(output: Path, directory: RunDirectory, found: Findings) -> None:
    """Writes the report and the numbers, and says where everything is."""
    places = [
        ("Report", str(output / "report.html")),
        ("SavedModel", str(directory.export)),
        ("Run", str(directory.path)),
        ("Shards", str(output / "shards")),
        ("Curves", f"tensorboard --logdir {shlex.quote(str(directory.tensorboard))}"),
    ]
    write_demo_report(found.report(places), output / "report.html")
    write_atomically(output / "results.json", json.dumps(found.numbers(), indent=2) + "\n")
    print()
    for what, place in places:
        print(f"{what + ':':12}{place}")


def _claim(output: Path) -> None:
    """Makes the output directory, or finds that of an earlier demo, whose shards and report are then made anew.

    Raises:
        InputError: the directory holds something else.
    """
    if output.exists() and not (output / _MARK).exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} holds something that is not of a demo; give another --output")
    output.mkdir(parents=True, exist_ok=True)
    (output / _MARK).write_text(json.dumps({"images": IMAGES.value}) + "\n")


def _prepare(output: Path) -> tuple[Source, Source | None]:
    """Writes training and test shards and opens them; there may be no test."""
    train, test = demo_images(IMAGES.value)
    _claim(output)
    shards = output / "shards"
    shutil.rmtree(shards, ignore_errors=True)
    return sharded(train, shards / "train"), None if test is None else sharded(test, shards / "test")


def _config(train: Source, data: str) -> Config:
    """Returns the recipe, with a batch and a number of prototypes that a small set of images can fill.

    Raises:
        InputError: there are hardly any images.
    """
    if train.num_images < _MIN_IMAGES:
        raise InputError(
            f"{IMAGES.value} has {train.num_images} images to train on; the demo needs at least {_MIN_IMAGES}"
        )
    config = recipe(RECIPE.value)
    batch = min(config.data.global_batch_size, 2 ** ((train.num_images // 2).bit_length() - 1))
    prototypes = min(config.head.num_prototypes, train.num_images // 4)
    assignments = [f"data.source={data}", f"data.global_batch_size={batch}", f"head.num_prototypes={prototypes}"]
    return configs.override(config, [*assignments, f"run.seed={SEED.value}"])


def _digest(config: Config, output: Path) -> str:
    """Names a run by its config and its images: the same again is continued, another is another run."""
    images = (output / "shards" / "train" / "manifest.json").read_text()
    return hashlib.sha256((json.dumps(configs.to_json(config)) + images).encode()).hexdigest()[:8]


def _pretrain(config: Config, directory: RunDirectory) -> None:
    """Runs the command `pretrain` in a process of its own, which saves its state when interrupted.

    Raises:
        KeyboardInterrupt: it was; the same demo continues it.
    """
    if _is_finished(config, directory):
        print("finished by an earlier demo with the same images and config")
        return
    assignments = [f"--set={line}" for line in configs.to_text(config).splitlines()]
    arguments = [f"--recipe={RECIPE.value}", f"--run_dir={directory.path}", *assignments]
    process = subprocess.Popen([sys.executable, "-m", "seer_tf.cli", "pretrain", *arguments])
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.wait()
        print("the same command continues from where the pretraining was saved", file=sys.stderr)
        raise
    if status == command.TRY_AGAIN:
        raise KeyboardInterrupt
    if status:
        sys.exit(status)


def _is_finished(config: Config, directory: RunDirectory) -> bool:
    return config.run.num_steps in directory.checkpoint_steps()


def _export(directory: RunDirectory) -> float:
    """Exports the run's model in place of an earlier export, and returns the difference found in a fresh process."""
    network = load_network(directory.path).selected("backbone")
    shutil.rmtree(directory.export, ignore_errors=True)
    (saved_model,) = export(network, directory.export, source=open_source(network.data))
    return saved_model.largest_difference


@contextlib.contextmanager
def _stage(name: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"\n{name}", flush=True)
    yield
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
