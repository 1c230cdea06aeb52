"""Compares learning with the original: the same run by seer_tf and by SwAV in PyTorch, with the same crops in files.

    python -m benchmarks.suite.swav_pytorch --data=folder:unlabelled --train_data=folder:train --test_data=folder:test
        --set=run.examine_every_steps=250 --output=DIR

A seed determines the crops and our initial weights, which the peer copies. The two programs take turns, each with
`run.log_every_steps` steps. Every `run.examine_every_steps` steps the same k-NN measures the features of both. For this
purpose the peer's weights are copied into our network. DIR/seed-S holds crops and `head_to_head.json`. A seed with
results is not run again. At the end the program prints tables, and writes DIR/curves.png with all seeds, and the peer's
losses in DIR/reference for `compare_runs`. The peer's algorithm and schedule follow the paper and its released script
(`torch_swav.py`). The peer's network comes from transformers.

In float32 the two losses diverge after a few steps, as do two PyTorch runs whose weights differ in the last bits. With
--set=run.precision=float64, in a separate DIR, the losses show that both programs compute the same.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import json
from pathlib import Path

from absl import flags

from benchmarks.harness.machine import machine
from benchmarks.suite.crop_files import CropFiles
from benchmarks.suite.head_to_head import head_to_head
from benchmarks.suite.head_to_head_report import draw, tables, write_references
from benchmarks.suite.labelled_bank import LabelledBank
from seer_tf import config as configs
from seer_tf.cli import command
from seer_tf.data.sources.registry import grammar, open_source
from seer_tf.files.atomic import write_atomically
from seer_tf.pretraining.recipes import recipe
from seer_tf.pretraining.task import check_fit
from seer_tf.training.run_directory import RunDirectory

RECIPE = flags.DEFINE_string("recipe", "cifar10_small", "Config of the run.")
DATA = flags.DEFINE_string("data", None, f"Images to train on: {grammar()}.", required=True)
TRAIN_DATA = flags.DEFINE_string("train_data", None, "Labelled images, the bank of the k-NN.", required=True)
TEST_DATA = flags.DEFINE_string("test_data", None, "Labelled images to classify.", required=True)
SET = flags.DEFINE_multi_string("set", [], "Set a field of the config: section.field=value.")
SEED_NUMBERS = flags.DEFINE_list("seed_numbers", ["0", "1", "2"], "Seeds of weights and crops.")
OUTPUT = flags.DEFINE_string("output", None, "Directory for crops, numbers and picture.", required=True)


def main() -> None:
    """Runs the command."""
    assignments = [*SET.value, f"data.source={DATA.value}"]
    config = configs.validate(configs.override(recipe(RECIPE.value), assignments))
    source = open_source(config.data.source)
    check_fit(config, source, num_replicas=1)
    bank, results = None, []
    for seed in SEED_NUMBERS.value:
        of_seed = configs.override(config, [f"run.seed={seed}"])
        directory = RunDirectory(Path(OUTPUT.value) / f"seed-{seed}")
        written = directory.path / "head_to_head.json"
        with directory.claimed(of_seed):
            if not written.exists():
                bank = bank or LabelledBank(
                    open_source(TRAIN_DATA.value), open_source(TEST_DATA.value), config.crops.sizes_px[0]
                )
                before, files = machine(), CropFiles.of(of_seed, source, directory.path)
                found = {"seed": int(seed), "machine": before, **head_to_head(of_seed, files, bank)}
                write_atomically(written, json.dumps(found) + "\n")
        results.append(json.loads(written.read_text()))
    print(tables(results, config))
    draw(results, config, Path(OUTPUT.value) / "curves.png")
    write_references(results, config, Path(OUTPUT.value) / "reference")


if __name__ == "__main__":
    command.run(main)
