"""Fine-tunes a network on labelled images and measures its accuracy; the same command continues a stopped run.

Low-shot learning is the same with a part of the labels. export.py and robustness.py accept RUN_DIR/classifier.keras.
"""

from pathlib import Path

from absl import flags

from seer_tf import config as configs
from seer_tf.api.finetuning import Finetuning
from seer_tf.cli import command, strategy_flags
from seer_tf.cli.training import end_unfinished
from seer_tf.data.sources.places import with_absolute_places
from seer_tf.data.sources.registry import grammar
from seer_tf.evaluation.features.labelled import named
from seer_tf.evaluation.result import HEADER, UNCOVERED, EvaluationResult
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.finetuning.recipes import RECIPES, recipe
from seer_tf.networks.load import CLASSIFIER_FILE
from seer_tf.quantities import counted
from seer_tf.training.run_directory import RunDirectory

RECIPE = command.required(flags.DEFINE_enum("recipe", None, list(RECIPES), "Named config to start from."))
MODEL = flags.DEFINE_string("model", None, "A run, a checkpoint, a conversion or a .keras file to start from.")
UNTRAINED = flags.DEFINE_bool("untrained", None, "Use the same network with fresh weights. [the recipe's]")
TRAIN_DATA = flags.DEFINE_string("train_data", None, f"Labelled images to learn from: {grammar()}. [the recipe's]")
TEST_DATA = flags.DEFINE_string("test_data", None, "Labelled images to measure the accuracy on. [the recipe's]")
FRACTION = flags.DEFINE_float("fraction", None, "Share of each class's images to learn from. [the recipe's]")
SUBSET_LIST = flags.DEFINE_string("subset_list", None, "File with the names of the images to learn from, one per line.")
SEED = flags.DEFINE_integer("seed", None, "Seed of subset, weights, order and augmentation. [the recipe's]")
SET = flags.DEFINE_multi_string("set", [], "Set a field: section.field=value. Repeatable.")
LOG_JSON = flags.DEFINE_string("log_json", None, "File for the numbers of the log, one JSON object per line.")
SHOW_CONFIG = flags.DEFINE_bool("show_config", False, "Print the resolved config and exit.")
RUN_DIR = command.required(
    flags.DEFINE_string("run_dir", None, "Directory of a new run or one to continue; not needed with --show_config."),
    unless=SHOW_CONFIG,
)

flags.adopt_module_key_flags(strategy_flags)


def resolved_config() -> FinetuneConfig:
    """Returns the validated config: the recipe with all flags applied. Its length may still depend on the images."""
    fields = {
        "data.train": TRAIN_DATA.value,
        "data.test": TEST_DATA.value,
        "data.fraction": FRACTION.value,
        "data.subset_list": SUBSET_LIST.value,
        "classifier.untrained": UNTRAINED.value,
        "run.init_from": MODEL.value,
        "run.seed": SEED.value,
    }
    assignments = [f"{field}={value}" for field, value in fields.items() if value is not None]
    config = configs.override(recipe(RECIPE.value), [*SET.value, *assignments])
    return with_absolute_places(configs.validate(config))


def main() -> None:
    """Runs the command."""
    config = resolved_config()
    if SHOW_CONFIG.value:
        print(configs.to_text(config))
        return
    outcome = Finetuning(config, RUN_DIR.value, strategy_flags.devices(), LOG_JSON.value).run()
    end_unfinished(outcome.run, RunDirectory(RUN_DIR.value), outcome.num_steps)
    if outcome.result is not None:
        _print(outcome.result)


def _print(result: EvaluationResult) -> None:
    steps, uncovered = counted(result.details["steps"], "step"), result.details.get(UNCOVERED)
    print(f"{Path(RUN_DIR.value, CLASSIFIER_FILE)}: {steps} done, {counted(result.num_classes, 'class')}")
    if uncovered:
        print(f"Not covered: {counted(len(uncovered), 'class')} without a test image: {named(uncovered)}")
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}\n{result.to_markdown()}")
    print(result.to_json(), flush=True)
