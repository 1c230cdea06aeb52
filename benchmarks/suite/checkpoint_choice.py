"""Which checkpoint, without labels? What the log says of each, and combinations of it, against k-NN with labels.

    python -m benchmarks.suite.checkpoint_choice --train_data=... --test_data=... --output=choice.json RUN [RUN ...]

Each RUN has several checkpoints (`--set=run.keep_every_steps=N`) with a line of the log at each; all are of images of
one kind, for which the labelled ones serve. A criterion is the better the more it rises with the k-NN of the backbones
in the checkpoints (Spearman's rank correlation), and the more the checkpoint that it selects gains over the latest.
`best` is asked for while a run goes on, too: so each beginning of a run counts as a run that ends there.
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
from seer_tf.data.sources.registry import GRAMMAR, open_source
from seer_tf.errors import InputError
from seer_tf.files.atomic import write_atomically
from seer_tf.training.run_directory import RunDirectory

RUNS = flags.DEFINE_multi_string("run", [], "Directory of a run with several checkpoints. Repeatable.")
TRAIN_DATA = flags.DEFINE_string(
    "train_data", None, f"Labelled images, the bank of the k-NN: {GRAMMAR}.", required=True
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
