"""Plans a run before it costs anything: parameters, arithmetic, memory, reductions, days."""

from absl import flags

from seer_tf import config as configs
from seer_tf.cli import command
from seer_tf.config import PretrainingConfig
from seer_tf.errors import InputError
from seer_tf.models.backbones.registry import checkpointing_kinds
from seer_tf.pretraining import planning
from seer_tf.pretraining.auto.choices import NAME as AUTO
from seer_tf.pretraining.planning import Memory, Plan, Reductions
from seer_tf.pretraining.registry import recipe, recipes
from seer_tf.quantities import counted

RECIPE = command.required(flags.DEFINE_enum("recipe", None, [*recipes(), AUTO], "Named config to start from."))
SET = flags.DEFINE_multi_string("set", [], "Set a field, e.g. data.global_batch_size=8704. Repeatable.")
DEVICES = flags.DEFINE_integer("devices", 1, "Number of devices over all hosts.", lower_bound=1)
DEVICE_MEMORY = flags.DEFINE_float(
    "device_memory_gib", None, "Memory of one device, in GiB (2^30 bytes).", lower_bound=0
)
NUM_IMAGES = flags.DEFINE_integer(
    "num_images", None, "Number of images to train on; repeated images count each time. [the recipe's]", lower_bound=1
)
STEP_SECONDS = flags.DEFINE_float("step_seconds", None, "Time of one step, in seconds.", lower_bound=0)
IMAGES_PER_SECOND = flags.DEFINE_float(
    "images_per_second", None, "Images per second over all devices, instead of --step_seconds.", 0
)

_GIB = 2**30


def main() -> None:
    """Runs the command."""
    for flag in (STEP_SECONDS, IMAGES_PER_SECOND, DEVICE_MEMORY):
        if flag.value == 0:
            raise InputError(f"--{flag.name}=0 must be above zero; leave the flag out if the value is unknown")
    if RECIPE.value == AUTO:
        raise InputError(
            f"--recipe={AUTO} depends on the images, which plan_run does not read: print the config by pretrain "
            f"--recipe={AUTO} --data=… --show_config, then give each of its lines to plan_run by --set"
        )
    if IMAGES_PER_SECOND.value is not None and STEP_SECONDS.value is not None:
        raise InputError("--step_seconds and --images_per_second say the same; give one of them")
    config = configs.validate(configs.override(recipe(RECIPE.value), SET.value))
    plan = planning.plan(config, DEVICES.value)
    batch = config.data.global_batch_size
    images = NUM_IMAGES.value or config.run.num_steps * batch
    print(
        f"{config.backbone.variant}, {counted(DEVICES.value, 'device')} x "
        f"{counted(plan.images_per_device, 'image')} = {batch}"
    )
    print(_parameters(plan))
    flops = plan.step_flops / batch
    print(f"arithmetic    {plan.step_flops / 1e12:,.2f} TFLOP a step, {flops / 1e9:,.1f} GFLOP an image, ", end="")
    print(f"{flops * images / 1e18:,.2f} EFLOP in all")
    print(_memory(plan.memory))
    _print_other_checkpointing(config)
    if DEVICE_MEMORY.value is not None:
        _print_fit(config, plan.memory, DEVICE_MEMORY.value)
    if DEVICES.value > 1:
        embeddings = "codes" if plan.prototype_parameters else "embeddings"
        sums = (("gradients", plan.gradients), ("batch norm", plan.batch_norm), (embeddings, plan.embeddings))
        print("reductions    " + "\n              ".join(_reductions(name, *sums_of) for name, *sums_of in sums))
    print(
        f"length        {counted(images, 'image')}, {counted(round(images / batch), 'step')}" + _duration(images, batch)
    )


def _parameters(plan: Plan) -> str:
    parts = f"backbone {plan.backbone_parameters:,} + head {plan.head_parameters:,}"
    prototypes = f" + prototypes {plan.prototype_parameters:,}" if plan.prototype_parameters else ""
    return f"parameters    {plan.parameters:,} = {parts}{prototypes}"


def _memory(memory: Memory) -> str:
    parts = {
        "weights": memory.weights,
        "velocity": memory.velocity,
        "gradients": memory.gradients,
        "activations": memory.activations,
        "recomputed": memory.recomputed,
        "head": memory.head,
        "queue": memory.queue,
        "momentum encoder": memory.momentum_encoder,
    }
    return f"memory        {memory.total / _GIB:.2f} GiB a device = " + " + ".join(
        f"{name} {size / _GIB:.2f}" for name, size in parts.items() if size
    )


def _print_other_checkpointing(config: PretrainingConfig) -> None:
    for kind in checkpointing_kinds(config.backbone.variant):
        if kind != config.backbone.activation_checkpointing:
            field = "backbone.activation_checkpointing"
            memory = planning.plan(configs.replace(config, {field: kind}), DEVICES.value).memory
            activations = (memory.activations + memory.recomputed) / _GIB
            print(
                f"              with --set {field}={kind} {memory.total / _GIB:.2f} GiB, activations and recomputed "
                f"{activations:.2f}"
            )


def _print_fit(config: PretrainingConfig, memory: Memory, device_gib: float) -> None:
    if memory.total <= device_gib * _GIB:
        print(f"fits          into {device_gib:g} GiB")
        return
    found = planning.fitting(config, DEVICES.value, int(device_gib * _GIB))
    if found is None:
        least = (memory.weights + memory.velocity + memory.gradients) / _GIB
        reason = f"weights, velocity and gradients take {least:.2f} GiB with any batch size"
        print(f"does not fit  into {device_gib:g} GiB with any settings: {reason}; use devices with more memory")
    else:
        values, changed = found
        flags_text = " ".join(f"--set {field}={configs.format_value(value)}" for field, value in values.items())
        needed = planning.plan(changed, DEVICES.value).memory.total / _GIB
        print(f"does not fit  into {device_gib:g} GiB; it would fit ({needed:.2f} GiB) with {flags_text}")


def _reductions(name: str, reductions: Reductions) -> str:
    return f"{name}: {counted(reductions.number, 'sum')} a step, {reductions.num_bytes / 1e6:,.1f} MB in all"


def _duration(images: int, batch: int) -> str:
    if IMAGES_PER_SECOND.value:
        rate = IMAGES_PER_SECOND.value
    elif STEP_SECONDS.value:
        rate = batch / STEP_SECONDS.value
    else:
        return "; for the days give --step_seconds or --images_per_second"
    return f", {planning.days(images, rate):.1f} days at {rate:,.0f} images/s"
