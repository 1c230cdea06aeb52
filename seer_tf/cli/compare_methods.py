"""Compares SwAV, SimCLR, MoCo and BYOL on your images: each trains the same network for the same time.

python experiments/compare_methods.py --data=folder:DIR --minutes=30 --output=comparison

Recipe auto sets each method; the first of --methods decides on the network. A folder for each class, or --test_data,
gives the labels that k-NN and a linear probe need; labels are used only for them. The same command continues a
comparison that was stopped, and with more --seeds it adds runs.
"""

import sys
from pathlib import Path

from absl import flags

from seer_tf.api.comparison import Comparison
from seer_tf.api.contestants import CONTESTANTS
from seer_tf.cli import command
from seer_tf.cli.messages import with_flags
from seer_tf.data.sources.registry import grammar
from seer_tf.distributed.devices import Devices
from seer_tf.pretraining.auto.rules import METHODS
from seer_tf.reports.method_comparison_files import PAGE

DATA = command.required(flags.DEFINE_string("data", None, f"Images to train on: {grammar()}."))
OUTPUT = command.required(
    flags.DEFINE_string("output", None, "Directory of a new comparison or one to continue, for runs, tables and pages.")
)
MINUTES = flags.DEFINE_float(
    "minutes", None, "Time for the training of each run, in minutes; either this or --steps.", lower_bound=0.1
)
STEPS = flags.DEFINE_integer("steps", None, "Number of steps of each run, with equal numbers of images.", lower_bound=1)
SEEDS = flags.DEFINE_integer("seeds", 3, "Number of runs of each method.", lower_bound=1)
METHODS_FLAG = flags.DEFINE_list(
    "methods", list(METHODS), f"Two or more of {', '.join(CONTESTANTS)}; the last is SwAV without multi-crop."
)
TRAIN_DATA = flags.DEFINE_string("train_data", None, "Labelled images to fit classifiers on. [those of --data]")
TEST_DATA = flags.DEFINE_string(
    "test_data", None, "Labelled images to measure on. [a fifth of each class of --data, which is then not trained on]"
)
SET = flags.DEFINE_multi_string(
    "set", [], "Set a field for all methods: section.field=value; the section of a method counts for it. Repeatable."
)
NUM_DEVICES = flags.DEFINE_integer(
    "num_devices", None, "Number of devices in this host. [all GPUs, or 1]", lower_bound=1
)


def main() -> None:
    """Runs the command."""
    found = Comparison(
        data=DATA.value,
        output=Path(OUTPUT.value).absolute(),
        minutes=MINUTES.value,
        steps=STEPS.value,
        seeds=SEEDS.value,
        methods=tuple(METHODS_FLAG.value),
        train_data=TRAIN_DATA.value,
        test_data=TEST_DATA.value,
        settings=SET.value,
        devices=Devices(num_devices=NUM_DEVICES.value),
        say=lambda text: print(with_flags(text), flush=True),
    ).run()
    if found.stopped_by is not None:
        print(f"{found.stopped_by}: the runs so far are kept; the same command continues", flush=True)
        sys.exit(command.TRY_AGAIN)
    print(with_flags(found.text()))
    print(f"{Path(OUTPUT.value) / PAGE}: written")
