"""Says what a run will need before it costs anything: parameters, arithmetic, memory, reductions, days."""

from absl import flags

from experiments import command
from seer_tf import config as configs
from seer_tf import planning
from seer_tf.config import Config
from seer_tf.errors import InputError
from seer_tf.planning import Memory, Plan, Reductions
from seer_tf.recipes import RECIPES, recipe

RECIPE = flags.DEFINE_string("recipe", None, f"Named config to start from: {', '.join(RECIPES)}.", required=True)
SET = flags.DEFINE_multi_string("set", [], "Replaces a field, e.g. data.global_batch_size=8704. Repeatable.")
DEVICES = flags.DEFINE_integer("devices", 1, "Number of devices over all hosts.", lower_bound=1)
DEVICE_MEMORY = flags.DEFINE_float(
    "device_memory_gib", None, "Memory of one device, in GiB (2^30 bytes).", lower_bound=0
)
IMAGES = flags.DEFINE_integer("images", None, "Images to train on, repeated ones counted. [the run's]", lower_bound=1)
STEP_SECONDS = flags.DEFINE_float("step_seconds", None, "Time of one step, stated or measured.", lower_bound=0)
IMAGES_PER_SECOND = flags.DEFINE_float("images_per_second", None, "Of all devices, instead of step_seconds.", 0)

_GIB = 2**30


def main() -> None:
    """Runs the command."""
    config = configs.validate(configs.override(recipe(RECIPE.value), SET.value))
    plan = planning.plan(config, DEVICES.value)
    images, batch = _num_images(config), config.data.global_batch_size
    print(f"RegNetY-{config.backbone.variant}, {DEVICES.value} devices x {plan.images_per_device} images = {batch}")
    print(_parameters(plan))
    flops = plan.step_flops / batch
    print(f"arithmetic    {plan.step_flops / 1e12:,.2f} TFLOP a step, {flops / 1e9:,.1f} GFLOP an image, ", end="")
    print(f"{flops * images / 1e18:,.2f} EFLOP in all")
    print(_memory(plan.memory))
    _print_fit(config, plan)
    if DEVICES.value > 1:
        sums = (("gradients", plan.gradients), ("batch norm", plan.batch_norm), ("codes", plan.codes))
        print("reductions    " + "\n              ".join(_reductions(name, *sums_of) for name, *sums_of in sums))
    print(f"length        {images:,} images, {round(images / batch):,} steps" + _duration(images, batch))


def _num_images(config: Config) -> int:
    if IMAGES_PER_SECOND.value is not None and STEP_SECONDS.value is not None:
        raise InputError("--step_seconds and --images_per_second say the same; give one of them")
    return IMAGES.value or config.run.num_steps * config.data.global_batch_size


def _parameters(plan: Plan) -> str:
    return (
        f"parameters    {plan.parameters:,} = trunk {plan.backbone_parameters:,} + head {plan.head_parameters:,} + "
        f"prototypes {plan.prototype_parameters:,}"
    )


def _memory(memory: Memory) -> str:
    parts = {
        "weights": memory.weights,
        "velocity": memory.velocity,
        "gradients": memory.gradients,
        "activations": memory.activations,
        "recomputed": memory.recomputed,
        "head": memory.head,
    }
    return f"memory        {memory.total / _GIB:.2f} GiB a device = " + " + ".join(
        f"{name} {size / _GIB:.2f}" for name, size in parts.items() if size
    )


def _print_fit(config: Config, plan: Plan) -> None:
    if config.backbone.activation_checkpointing == "none":
        checkpointed = planning.plan(
            configs.override(config, ["backbone.activation_checkpointing=block"]), DEVICES.value
        ).memory
        print(
            f"              with --set backbone.activation_checkpointing=block {checkpointed.total / _GIB:.2f} GiB, "
            f"activations {(checkpointed.activations + checkpointed.recomputed) / _GIB:.2f}"
        )
    if DEVICE_MEMORY.value is None:
        return
    found = planning.fitting(config, DEVICES.value, int(DEVICE_MEMORY.value * _GIB))
    if plan.memory.total <= DEVICE_MEMORY.value * _GIB:
        print(f"fits          into {DEVICE_MEMORY.value:g} GiB")
    elif found is None:
        least = plan.memory.weights + plan.memory.velocity + plan.memory.gradients
        print(
            f"does not fit  into {DEVICE_MEMORY.value:g} GiB, whatever is set: weights, velocity and gradients ", end=""
        )
        print(f"alone take {least / _GIB:.2f} GiB")
    else:
        flags_text = " ".join(f"--set {assignment}" for assignment in found[0])
        needed = planning.plan(found[1], DEVICES.value).memory.total / _GIB
        print(f"does not fit  into {DEVICE_MEMORY.value:g} GiB; it would ({needed:.2f} GiB) with {flags_text}")


def _reductions(name: str, reductions: Reductions) -> str:
    return f"{name}: {reductions.number:,} sums of {reductions.num_bytes / 1e6:,.1f} MB together, a step"


def _duration(images: int, batch: int) -> str:
    if IMAGES_PER_SECOND.value:
        rate = IMAGES_PER_SECOND.value
    elif STEP_SECONDS.value:
        rate = batch / STEP_SECONDS.value
    else:
        return "; days with --step_seconds or --images_per_second"
    return f", {planning.days(images, rate):.1f} days at {rate:,.0f} images/s"


if __name__ == "__main__":
    command.run(main)
