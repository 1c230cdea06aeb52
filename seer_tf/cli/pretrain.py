"""Pretrains a backbone with SwAV on images without labels; the same command again continues where it stopped.

On several hosts the same command starts on each of them (docs/guides/many_hosts.md).
"""

import functools
import pathlib

import tensorflow as tf
from absl import flags

from seer_tf import config as configs
from seer_tf.cli import auto_flags, command, strategy_flags
from seer_tf.cli.training import end_unfinished, moves_named
from seer_tf.config import Config
from seer_tf.data.sources.places import with_absolute_places
from seer_tf.data.sources.registry import GRAMMAR, Source, absolute, check_source, open_source
from seer_tf.distributed.rendezvous import rendezvous
from seer_tf.distributed.strategy import make_strategy
from seer_tf.errors import InputError
from seer_tf.evaluation.protocols.online_probe import OnlineProbe
from seer_tf.files.atomic import check_directory
from seer_tf.networks.load import check_network
from seer_tf.pretraining.auto import rules
from seer_tf.pretraining.auto.dataset_summary import summarize
from seer_tf.pretraining.logger import PretrainingLogOptions
from seer_tf.pretraining.recipes import RECIPES, recipe
from seer_tf.pretraining.task import check_fit, identity, pretrain
from seer_tf.quantities import counted
from seer_tf.training.preemption import lost_workers_named
from seer_tf.training.run_directory import RunDirectory

RECIPE = command.required(
    flags.DEFINE_enum(
        "recipe",
        None,
        [rules.NAME, *RECIPES],
        f"Named config to start from; {rules.NAME} derives one from the images.",
    )
)
DATA = flags.DEFINE_string("data", None, f"Images: {GRAMMAR}. [the recipe's]")
SEED = flags.DEFINE_integer("seed", None, "Seed of weights, order and augmentation. [the recipe's]")
SET = flags.DEFINE_multi_string("set", [], "Replaces a field: section.field=value, e.g. run.num_steps=500. Repeatable.")
INIT_FROM = flags.DEFINE_string(
    "init_from", None, "Run, checkpoint RUN/checkpoints/step-N, or what convert_checkpoint.py wrote, to start from."
)
RESET = flags.DEFINE_list("reset", None, f"Parts not to take from --init_from: {', '.join(configs.PARTS_TO_RESET)}.")
ON_TROUBLE = flags.DEFINE_enum("on_trouble", None, configs.ON_TROUBLE, "When the run learns nothing. [the recipe's]")
PROBE_DATA = flags.DEFINE_string(
    "probe_data", None, "Labelled images, not trained on, for k-NN and a linear probe on the way."
)
LOG_JSON = flags.DEFINE_string("log_json", None, "File that takes the numbers of the log, one JSON object per line.")
PROFILE_STEPS = flags.DEFINE_list("profile_steps", None, "First and last step that TensorFlow's profiler records.")
AUGMENT_ON = flags.DEFINE_enum("augment_on", None, configs.PLACES, "Where crops are distorted. [the recipe's]")
MAX_BAD_FRACTION = flags.DEFINE_float("max_bad_fraction", None, "Of the images, so many may be bad. [the recipe's]")
XLA = flags.DEFINE_bool("xla", None, "Compiles the step; with one device only. [the recipe's]")
SHOW_CONFIG = flags.DEFINE_bool("show_config", False, "Prints the resolved config and ends.")
RUN_DIR = command.required(
    flags.DEFINE_string(
        "run_dir", None, "Directory of the run, new or to be continued; not needed with --show_config."
    ),
    unless=SHOW_CONFIG,
)

flags.adopt_module_key_flags(auto_flags)
flags.adopt_module_key_flags(strategy_flags)


def resolved_config() -> Config:
    """Returns the recipe with all flags applied, checked."""
    fields = {
        "data.source": DATA.value,
        "data.augment_on": AUGMENT_ON.value,
        "data.max_bad_fraction": MAX_BAD_FRACTION.value,
        "run.seed": SEED.value,
        "run.init_from": INIT_FROM.value,
        "run.reset": None if RESET.value is None else ",".join(RESET.value),
        "run.on_trouble": ON_TROUBLE.value,
        "run.xla": XLA.value,
    }
    assignments = [f"{field}={value}" for field, value in fields.items() if value is not None]
    assignments = [*SET.value, *assignments]
    if RECIPE.value != rules.NAME:
        auto_flags.check_absent(RECIPE.value)
        config = configs.override(recipe(RECIPE.value), assignments)
    elif RUN_DIR.value and (directory := RunDirectory(RUN_DIR.value)).holds_a_run():
        config = configs.override(directory.read_config(), assignments)
    else:
        own = configs.parse(Config, assignments)
        named = configs.replace(Config(), own)
        check_first(named)
        config = auto_flags.derived(open_source(named.data.source), own)
    return with_absolute_places(configs.validate(config))


def check_first(config: Config) -> None:
    """Looks at everything that can be looked at before the images are: places, names and flags.

    Args:
        config: Config of the run; of one that is still to be derived from the images, its places.

    Raises:
        InputError: one of them is wrong.
    """
    directory = RunDirectory(RUN_DIR.value) if RUN_DIR.value else None
    if directory is not None:
        directory.check_place()
    if LOG_JSON.value is not None:
        check_directory(pathlib.Path(LOG_JSON.value).parent)
    profile_steps()
    if config.run.init_from and (directory is None or directory.newest_checkpoint() is None):
        check_network(config.run.init_from)
    with moves_named(directory, "--data"):
        check_source(config.data.source)
    if PROBE_DATA.value is not None:
        check_source(PROBE_DATA.value)
        if absolute(PROBE_DATA.value) == absolute(config.data.source):
            raise InputError(
                f"--probe_data is what the run is trained on, {PROBE_DATA.value}; give labelled images that it is not "
                "trained on"
            )


def profile_steps() -> tuple[int, int] | None:
    """Returns the first and the last step to be profiled.

    Raises:
        InputError: --profile_steps are not two steps.
    """
    if PROFILE_STEPS.value is None:
        return None
    steps = [int(step) for step in PROFILE_STEPS.value if step.isdecimal()]
    if len(PROFILE_STEPS.value) != 2 or len(steps) != 2 or not steps[0] < steps[1]:
        raise InputError("--profile_steps takes the first and the last step, e.g. --profile_steps=20,30")
    return steps[0], steps[1]


def log_options(config: Config, source: Source) -> PretrainingLogOptions:
    """Returns the optional outputs that the flags name.

    Raises:
        InputError: the probe's images do not serve.
    """
    probe = None
    if PROBE_DATA.value is not None:
        probe = OnlineProbe(open_source(PROBE_DATA.value), source, config).of
    json_file = pathlib.Path(LOG_JSON.value) if LOG_JSON.value else None
    return PretrainingLogOptions(json_file, profile_steps(), probe)


def main() -> None:
    """Runs the command."""
    config = resolved_config()
    if SHOW_CONFIG.value:
        print(configs.to_text(config))
        return
    directory, cluster = RunDirectory(RUN_DIR.value), strategy_flags.cluster()
    with rendezvous(cluster, timeout_seconds=strategy_flags.MEETING_SECONDS.value) as facts:
        placement = strategy_flags.placement(cluster)
        directory.check(config)
        check_first(config)
        source = open_source(config.data.source)
        check_fit(config, source, placement.num_replicas)
        images = identity(source)
        directory.check(config, images)
        facts.update(directory.facts(config, images), devices=f"{placement.num_devices}")
    with lost_workers_named(cluster):
        if config.run.deterministic:
            tf.config.experimental.enable_op_determinism()
        strategy = make_strategy(placement)
        summarize(source)  # or raises, on every worker
        outcome = pretrain(config, source, directory, strategy, functools.partial(log_options, config, source))
    end_unfinished(outcome, directory, config.run.num_steps)
    print(
        f"{directory.path}: {counted(outcome.step, 'step')} done; see it with: tensorboard --logdir "
        f"{directory.tensorboard}"
    )
