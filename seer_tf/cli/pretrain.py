"""Pretrains a backbone on images without labels; the same command continues a run that was stopped.

The recipe, or with --recipe=auto the flag --method, says by which method: SwAV, SimCLR, MoCo or BYOL
(docs/guides/methods.md).

For a run on several hosts, start the same command on each host (docs/guides/many_hosts.md).
"""

from absl import flags

from seer_tf import config as configs
from seer_tf.api.pretraining import Pretraining
from seer_tf.cli import command, strategy_flags
from seer_tf.cli.messages import with_flags
from seer_tf.cli.training import end_unfinished
from seer_tf.data.sources.registry import grammar
from seer_tf.errors import InputError
from seer_tf.pretraining.auto import rules
from seer_tf.pretraining.auto.choices import NAME as AUTO
from seer_tf.pretraining.registry import recipe, recipes
from seer_tf.quantities import counted
from seer_tf.training.retries import read_retries
from seer_tf.training.run_directory import RunDirectory

RECIPE = command.required(
    flags.DEFINE_enum(
        "recipe",
        None,
        [AUTO, *recipes()],
        f"Named config to start from; {AUTO} derives a config from the images.",
    )
)
METHOD = flags.DEFINE_enum("method", None, rules.METHODS, f"For --recipe={AUTO}: method of pretraining. [swav]")
DATA = flags.DEFINE_string("data", None, f"Images: {grammar()}. [the recipe's]")
SEED = flags.DEFINE_integer("seed", None, "Seed of weights, order and augmentation. [the recipe's]")
SET = flags.DEFINE_multi_string("set", [], "Set a field: section.field=value, e.g. run.num_steps=500. Repeatable.")
INIT_FROM = flags.DEFINE_string(
    "init_from",
    None,
    "Weights to start from: a run, a checkpoint RUN/checkpoints/step-N, a directory from convert_checkpoint.py or a "
    ".keras file.",
)
RESET = flags.DEFINE_list(
    "reset", None, f"Parts that are not taken from --init_from: {', '.join(configs.PARTS_TO_RESET)}."
)
ON_TROUBLE = flags.DEFINE_enum(
    "on_trouble", None, configs.ON_TROUBLE, "Reaction to a failed health check. [the recipe's]"
)
PROBE_DATA = flags.DEFINE_string(
    "probe_data", None, "Labelled images, outside the training data, for k-NN and a linear probe during the run."
)
LOG_JSON = flags.DEFINE_string("log_json", None, "File for the numbers of the log, one JSON object per line.")
PROFILE_STEPS = flags.DEFINE_list("profile_steps", None, "First and last step that TensorFlow's profiler records.")
AUGMENT_ON = flags.DEFINE_enum(
    "augment_on", None, configs.PLACES, "Device that flips, colours and blurs the crops. [the recipe's]"
)
MAX_BAD_FRACTION = flags.DEFINE_float(
    "max_bad_fraction", None, "Largest fraction of unreadable images before training stops. [the recipe's]"
)
XLA = flags.DEFINE_bool("xla", None, "Compile the step with XLA; works only on one device. [the recipe's]")
SHOW_CONFIG = flags.DEFINE_bool("show_config", False, "Print the resolved config and exit.")
MINUTES = flags.DEFINE_float(
    "minutes",
    None,
    "For --recipe=auto: time for finding the settings and training, in minutes. [45]",
    lower_bound=0.1,
)
DEVICE_MEMORY = flags.DEFINE_float(
    "device_memory_gib",
    None,
    "For --recipe=auto: memory of one device, in GiB. [the host's, or 16 for a GPU]",
    lower_bound=0.1,
)
RUN_DIR = command.required(
    flags.DEFINE_string("run_dir", None, "Directory of a new run or one to continue; not needed with --show_config."),
    unless=SHOW_CONFIG,
)

flags.adopt_module_key_flags(strategy_flags)


def request() -> Pretraining:
    """Returns the run that the flags ask for.

    Raises:
        InputError: --profile_steps does not name two steps.
    """
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
    return Pretraining(
        start=None if RECIPE.value == AUTO else recipe(RECIPE.value),
        method=METHOD.value,
        assignments=[*SET.value, *(f"{field}={value}" for field, value in fields.items() if value is not None)],
        run_dir=RUN_DIR.value,
        minutes=MINUTES.value,
        device_memory_gib=DEVICE_MEMORY.value,
        devices=strategy_flags.devices(),
        probe_data=PROBE_DATA.value,
        log_json=LOG_JSON.value,
        profile_steps=profile_steps(),
        say=lambda text: print(with_flags(text), flush=True),
    )


def profile_steps() -> tuple[int, int] | None:
    """Returns the first and the last step to profile; None for no profile.

    Raises:
        InputError: --profile_steps does not name two steps.
    """
    if PROFILE_STEPS.value is None:
        return None
    steps = [int(step) for step in PROFILE_STEPS.value if step.isdecimal()]
    if len(PROFILE_STEPS.value) != 2 or len(steps) != 2 or not steps[0] < steps[1]:
        raise InputError("--profile_steps takes the first and the last step, e.g. --profile_steps=20,30")
    return steps[0], steps[1]


def main() -> None:
    """Runs the command."""
    asked = request()
    config = asked.config()
    if SHOW_CONFIG.value:
        print(configs.to_text(config))
        return
    outcome, directory = asked.run(config), RunDirectory(RUN_DIR.value)
    end_unfinished(outcome, directory, config.run.num_steps)
    for retry in read_retries(directory):
        print(f"retry: {retry}")
    print(
        f"{directory.path}: {counted(outcome.step, 'step')} done; see the curves with: tensorboard --logdir "
        f"{directory.tensorboard}"
    )
