"""Pretrains a backbone with SwAV on images without labels; the same command again continues where it stopped."""

from absl import flags

from experiments import command
from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.data.sources import open_source
from seer_tf.recipes import RECIPES, recipe
from seer_tf.train.loop import pretrain
from seer_tf.train.run_directory import RunDirectory

RECIPE = flags.DEFINE_string("recipe", None, f"Named config to start from: {', '.join(RECIPES)}.", required=True)
DATA = flags.DEFINE_string("data", None, "Images: folder:DIR, shards:DIR, builtin, tfds:NAME@SPLIT. [the recipe's]")
RUN_DIR = flags.DEFINE_string("run_dir", None, "Directory of the run, new or to be continued.", required=True)
SEED = flags.DEFINE_integer("seed", None, "Seed of weights, order and augmentation. [the recipe's]")
SET = flags.DEFINE_multi_string("set", [], "Replaces a field: section.field=value, e.g. run.num_steps=500. Repeatable.")
SHOW_CONFIG = flags.DEFINE_bool("show_config", False, "Prints the resolved config and ends.")


def resolved_config() -> Config:
    """Returns the recipe with all flags applied, checked."""
    assignments = list(SET.value)
    if DATA.value is not None:
        assignments.append(f"data.source={DATA.value}")
    if SEED.value is not None:
        assignments.append(f"run.seed={SEED.value}")
    return configs.validate(configs.override(recipe(RECIPE.value), assignments))


def main() -> None:
    """Runs the command."""
    config = resolved_config()
    if SHOW_CONFIG.value:
        print(configs.to_text(config))
        return
    directory = RunDirectory(RUN_DIR.value)
    outcome = pretrain(config, open_source(config.data.source), directory)
    if outcome.stopped_by is not None:
        print(f"{outcome.stopped_by}: saved at step {outcome.step} of {config.run.num_steps}; ", end="")
        print("the same command continues from there")
    else:
        print(f"{directory.path}: {outcome.step} steps done; see it with: tensorboard --logdir {directory.tensorboard}")


if __name__ == "__main__":
    command.run(main)
