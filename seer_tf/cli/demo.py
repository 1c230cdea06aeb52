"""A small tour of the whole package: images, shards, pretraining, evaluation, SavedModel and a report.

python experiments/demo.py [DIR or another data spec] --output=demo_output
"""

import contextlib
import hashlib
import json
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from seer_tf import config as configs
from seer_tf.api.exporting import export
from seer_tf.api.train_and_test import train_and_test
from seer_tf.cli.demo_findings import Findings, findings
from seer_tf.cli.demo_images import sharded
from seer_tf.cli.training import end_unfinished
from seer_tf.config import Config
from seer_tf.data.sources.registry import Source, absolute, grammar
from seer_tf.distributed.gpus import num_gpus
from seer_tf.distributed.strategy import make_strategy, place
from seer_tf.errors import InputError
from seer_tf.evaluation.features.run_features import keep_whitened_stages
from seer_tf.files.atomic import check_directory, write_atomically
from seer_tf.files.lock import locked
from seer_tf.models import all_stages
from seer_tf.pretraining.auto.dataset_summary import summarize
from seer_tf.pretraining.logger import PretrainingLogOptions
from seer_tf.pretraining.recipes import RECIPES, recipe
from seer_tf.pretraining.task import pretrain
from seer_tf.quantities import counted
from seer_tf.reports.demo_report import write_demo_report
from seer_tf.training.conclusion import write_conclusion
from seer_tf.training.run_directory import RunDirectory

DATA = flags.DEFINE_string("data", "builtin", f"Images; labels are used only for the evaluation: {grammar()}.")
POSITIONAL = DATA
OUTPUT = flags.DEFINE_string("output", "demo_output", "Directory for all files of the demo.")
RECIPE = flags.DEFINE_enum("recipe", "demo", list(RECIPES), "Named config for pretraining.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of weights, order and augmentation.", 0, 2**32 - 1)

_MARK, _LOCK = "demo.json", "lock"
_MIN_IMAGES = 32


def main() -> None:
    """Runs all stages; each stage finds its inputs in `--output`."""
    base, output = recipe(RECIPE.value), Path(OUTPUT.value)
    _check_output(output)
    train, test = train_and_test(DATA.value)
    _check_enough(train)
    summarize(train)  # raises if the images teach nothing
    with _claimed(output):
        _run_stages(base, output, train, test)


def _run_stages(base: Config, output: Path, train: Source, test: Source | None) -> None:
    """Runs all stages on the images."""
    with _stage("1/4 shards"):
        train, test = _prepare(output, train, test)
    config = _config(base, train, output)
    directory = RunDirectory(output / f"run-{_digest(config, output)}")
    with _stage(f"2/4 pretraining of {config.backbone.variant} for {counted(config.run.num_steps, 'step')}"):
        _pretrain(config, train, directory, is_labelled=test is not None)
    with _stage("3/4 evaluation"):
        found = findings(directory, train, test)
        print(found.table())
        if conclusion := found.against_pixels():
            write_conclusion(directory, conclusion)
    with _stage("4/4 export"):
        difference = _export(directory)
        print(f"loaded in a fresh process by TensorFlow alone: largest difference {difference:.1e}")
    _write_outcome(output, directory, found)


def _write_outcome(output: Path, directory: RunDirectory, found: Findings) -> None:
    """Writes the report and the numbers, and prints the paths of all outputs."""
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
    for what, where in places:
        print(f"{what + ':':12}{where}")


def _check_output(output: Path) -> None:
    """Raises an error if the demo cannot write its output. Creates nothing.

    Raises:
        InputError: The directory holds something else, another demo writes to it, or it cannot be created.
    """
    check_directory(output)
    if (output / _MARK).exists():
        with _locked(output):
            return
    if output.exists() and any(output.iterdir()):
        raise InputError(f"{output} holds files that are not from a demo; give another --output")


@contextlib.contextmanager
def _claimed(output: Path) -> Iterator[None]:
    """Creates the output directory, or reuses that of an earlier demo, and locks out other demos."""
    output.mkdir(parents=True, exist_ok=True)
    (output / _MARK).write_text(json.dumps({"data": DATA.value}) + "\n")
    with _locked(output):
        yield


@contextlib.contextmanager
def _locked(output: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(output / _LOCK))
        except BlockingIOError:
            raise InputError(
                f"another demo is writing to {output}: wait until it ends, or give another --output"
            ) from None
        yield


def _prepare(output: Path, train: Source, test: Source | None) -> tuple[Source, Source | None]:
    """Writes new training and test shards and opens them; there may be no test images."""
    shards = output / "shards"
    shutil.rmtree(shards, ignore_errors=True)
    return sharded(train, shards / "train"), None if test is None else sharded(test, shards / "test")


def _check_enough(train: Source) -> None:
    """Raises an error if there are too few images.

    Raises:
        InputError: There are too few images. The message says how many.
    """
    if train.num_images < _MIN_IMAGES:
        raise InputError(
            f"{DATA.value} has {train.num_images} images to train on; the demo needs at least {_MIN_IMAGES}"
        )


def _config(base: Config, train: Source, output: Path) -> Config:
    """Returns the recipe, with a batch and a number of prototypes that a small set of images can fill."""
    _check_enough(train)  # again, because some images may have been left out of the shards
    batch = min(base.data.global_batch_size, 2 ** ((train.num_images // 2).bit_length() - 1))
    prototypes = min(base.head.num_prototypes, train.num_images // 4)
    assignments = [
        f"data.source={absolute(_shards(output))}",
        f"data.global_batch_size={batch}",
        f"head.num_prototypes={prototypes}",
        f"run.seed={SEED.value}",
    ]
    return configs.validate(configs.override(base, assignments))


def _shards(output: Path) -> str:
    return f"shards:{output / 'shards' / 'train'}"


def _digest(config: Config, output: Path) -> str:
    """Returns a hash of config and images, without their paths: the same demo again continues the same run."""
    images = (output / "shards" / "train" / "manifest.json").read_text()
    placeless = configs.override(config, ["data.source="])
    return hashlib.sha256((json.dumps(configs.to_json(placeless)) + images).encode()).hexdigest()[:8]


def _pretrain(config: Config, train: Source, directory: RunDirectory, *, is_labelled: bool) -> None:
    """Trains to the end. If a signal stops the training, the demo ends, and the same demo continues it.

    With labels the log draws no conclusion, because the evaluation draws it from all test images.
    """
    if config.run.num_steps in directory.checkpoint_steps():
        print("finished by an earlier demo with the same images and config")
        return
    strategy = make_strategy(place("auto", None, None, num_gpus=num_gpus()))
    log_options = PretrainingLogOptions(conclusion=(lambda _: "") if is_labelled else None)
    outcome = pretrain(config, train, directory, strategy, lambda: log_options)
    end_unfinished(outcome, directory, config.run.num_steps)
    if config.backbone.features == all_stages.NAME:
        keep_whitened_stages(directory, train)


def _export(directory: RunDirectory) -> float:
    """Exports the run's model, replacing an earlier export, and returns the difference found in a fresh process."""
    shutil.rmtree(directory.export, ignore_errors=True)
    (saved_model,) = export(directory.path, directory.export).files
    return saved_model.largest_difference


@contextlib.contextmanager
def _stage(name: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"\n{name}", flush=True)
    yield
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
