"""What must be fast, beside its peers and the machine's own limit: `python -m benchmarks [NAME ...]`.

NAME is one of backbone, train_step, input_pipeline, sinkhorn, scaling, checkpoint, evaluation, exported; without one,
all of them run. Tables go to standard output as they come. The file of --output has every single time, machine and
versions; it is replaced whole after each table, so that an interrupted run keeps what it has. What grows is drawn in a
picture beside it. With --quick everything runs in minutes at sizes whose numbers mean nothing.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import importlib
import json
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

from absl import app, flags

from benchmarks.harness.growth import Growth, picture
from benchmarks.harness.machine import machine
from benchmarks.harness.settings import Settings
from seer_tf.errors import InputError
from seer_tf.files.atomic import write_atomically

NAMES = ("backbone", "train_step", "input_pipeline", "sinkhorn", "scaling", "checkpoint", "evaluation", "exported")
_QUIET_CORES = 0.2

ROUNDS = flags.DEFINE_integer("rounds", 9, "How often each contestant is timed.", 1)
ONLY = flags.DEFINE_string("only", "", "Regular expression that the title of what is measured must match somewhere.")
OUTPUT = flags.DEFINE_string("output", "benchmarks.json", "JSON file to write; the picture, a .png, goes beside it.")
QUICK = flags.DEFINE_bool("quick", False, "Sizes that only show that everything runs; PyTorch is not compiled.")
PHOTOS = flags.DEFINE_string("photos", None, "Directory of photographs for input_pipeline. [scikit-learn's]")
MAX_IMAGES = flags.DEFINE_integer("max_images", Settings.max_images, "Small records that scaling goes up to.", 1000)


def main(argv: list[str]) -> None:
    """Runs benchmarks; what the user got wrong ends in one sentence and exit status 2."""
    try:
        settings = Settings(QUICK.value, PHOTOS.value, MAX_IMAGES.value)
        run(argv[1:] or NAMES, settings, ROUNDS.value, ONLY.value, pathlib.Path(OUTPUT.value))
    except InputError as error:
        sys.exit(_said(error))


def run(names: Sequence[str], settings: Settings, rounds: int, only: str, output: pathlib.Path) -> None:
    """Runs benchmarks, prints their tables, writes the JSON and the picture.

    Args:
        names: Names of benchmarks, in this order.
        settings: Settings for all of them.
        rounds: How often each contestant is timed.
        only: Regular expression for the titles.
        output: Path of the JSON file.

    Raises:
        InputError: there is no benchmark of a name, or nothing has a title like that.
    """
    for name in names:
        if name not in NAMES:
            raise InputError.unknown("benchmark", name, NAMES)
    results: list[dict[str, Any]] = []
    growths: list[Growth] = []
    for name in names:
        print(f"## {name}\n", flush=True)
        for case in importlib.import_module(f"benchmarks.suite.{name}").cases(settings):
            if not re.search(only, case.title):
                continue
            before = machine()
            if before["busy_cores"] > _QUIET_CORES:
                print(
                    f"Other processes keep {before['busy_cores']} cores busy. Do not rely on the next table: threads "
                    "that wait by spinning, as PyTorch's do, suffer most from it.\n"
                )
            result = case.run(case.title, rounds)
            print(result.table(), flush=True)
            results.append({"benchmark": name, **result.as_json(), "machine": before})
            write_atomically(output, json.dumps(results, indent=1))
            if isinstance(result, Growth):
                growths.append(result)
                write_atomically(output.with_suffix(".png"), picture(growths))
    if not results:
        raise InputError(f"nothing in {', '.join(names)} has a title that --only={only} matches; leave it out for all")


def _said(error: InputError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    app.run(main)
