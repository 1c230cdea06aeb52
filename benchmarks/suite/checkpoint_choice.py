"""Choice of a checkpoint without labels: compares numbers in the log, and combinations of them, with labelled k-NN.

    python -m benchmarks.suite.checkpoint_choice --train_data=... --test_data=... --output=choice.json RUN [RUN ...]

Each RUN has several checkpoints (`--set=run.keep_every_steps=N`) with a line of the log at each. All runs must be
trained on images like the labelled images. A criterion is better if it rises with the k-NN of the checkpoints'
backbones (Spearman's rank correlation), and if the checkpoint that it selects gains more over the latest. A user also
needs the best checkpoint during a run, so each beginning of a run counts as a run that ends there.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import dataclasses
import json
import sys

from absl import flags

from benchmarks.suite.checkpoint_criteria import measured, table
from benchmarks.suite.labelled_bank import LabelledBank
from seer_tf.cli import command
from seer_tf.data.sources.registry import grammar, open_source
from seer_tf.errors import InputError
from seer_tf.files.atomic import write_atomically
from seer_tf.training.run_directory import RunDirectory

RUNS = flags.DEFINE_multi_string("run", [], "Run directory with several checkpoints. Repeatable.")
TRAIN_DATA = flags.DEFINE_string(
    "train_data", None, f"Labelled images, the bank of the k-NN: {grammar()}.", required=True
)
TEST_DATA = flags.DEFINE_string("test_data", None, "Labelled images to classify.", required=True)
OUTPUT = flags.DEFINE_string("output", "checkpoint_choice.json", "JSON file to write.")


def main() -> None:
    """Runs the command."""
    if not RUNS.value:
        raise InputError("name one run or more, e.g. python -m benchmarks.suite.checkpoint_choice RUN_A RUN_B")
    size_px = RunDirectory(RUNS.value[0]).read_config().crops.sizes_px[0]
    bank = LabelledBank(open_source(TRAIN_DATA.value), open_source(TEST_DATA.value), size_px)
    runs = {place: measured(place, bank) for place in RUNS.value}
    written = {name: [dataclasses.asdict(checkpoint) for checkpoint in run] for name, run in runs.items()}
    write_atomically(OUTPUT.value, json.dumps(written, indent=1) + "\n")
    print(table(runs))


if __name__ == "__main__":
    sys.argv[1:] = [word if word.startswith("-") else f"--run={word}" for word in sys.argv[1:]]
    command.run(main)
