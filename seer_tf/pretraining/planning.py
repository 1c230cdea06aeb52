"""Planning: computes from a config alone what a run will need in parameters, arithmetic, memory, reductions and days.

The memory is that of one device when the backward pass begins. It is the sum of the tensors that our layers keep. The
program itself (TensorFlow, the traced graph, work space of libraries) is not included.
`benchmarks/suite/step_memory.py` compares the planned memory with the smallest memory in which a step runs.
"""

import dataclasses
import itertools
from collections.abc import Container, Iterator, Sequence
from typing import Any, TypeVar

from seer_tf import config as configs
from seer_tf.config import PretrainingConfig
from seer_tf.distributed import collectives
from seer_tf.errors import InputError
from seer_tf.models.backbone import BlockCost
from seer_tf.models.backbones.registry import backbone_cost, checkpointing_kinds
from seer_tf.models.heads.cost import FLOAT, MethodCost
from seer_tf.pretraining.registry import find_method

PlannedConfig = TypeVar("PlannedConfig", bound=PretrainingConfig)

_SECONDS_PER_DAY = 86_400
_HALF = 2
# Measured by benchmarks/suite/step_memory.py, not derived. Each crop size has its own gradients before they are added,
# and LARS computes new values before it writes them. The backward pass has tensors in addition to those of the forward
# pass.
_GRADIENT_COPIES = 3
_BACKWARD_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device.

    Attributes:
        weights: Weights of the network, float32, with their copies in half precision.
        velocity: Velocity of the optimizer.
        gradients: Gradients of all weights, counted once for each copy that exists at the same time.
        activations: Tensors that the forward pass keeps for the backward pass, and the backward pass's own tensors.
        recomputed: The largest part that activation checkpointing computes again at once.
        head: Activations and scores of the heads, and what the loss keeps.
        queue: Embeddings from earlier batches, and what is computed from them.
        momentum_encoder: Weights of the second network; its activations are not kept.
    """

    weights: int
    velocity: int
    gradients: int
    activations: int
    recomputed: int
    head: int
    queue: int
    momentum_encoder: int

    @property
    def total(self) -> int:
        """Sum of all parts, bytes."""
        return sum(dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True)
class Reductions:
    """Sums over the replicas in one step: the number of sums, and the bytes of all summed tensors.

    A gather counts as a sum, with the bytes of the gathered tensors.
    """

    number: int
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """The needs of a run.

    Attributes:
        backbone_parameters: Number of parameters in the backbone.
        head_parameters: Number of parameters in the projection head and the predictor.
        prototype_parameters: Number of parameters in the prototypes.
        images_per_device: Images per step on one device.
        step_flops: Floating-point operations per step on all devices; a multiply-add counts as two.
        memory: Memory of one device.
        batch_norm: Sums of statistics, and of their gradients.
        embeddings: Sums and gathers of codes and embeddings: in Sinkhorn's algorithm, for negatives and for the queue.
        gradients: Sums of gradients.
    """

    backbone_parameters: int
    head_parameters: int
    prototype_parameters: int
    images_per_device: int
    step_flops: int
    memory: Memory
    batch_norm: Reductions
    embeddings: Reductions
    gradients: Reductions

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return self.backbone_parameters + self.head_parameters + self.prototype_parameters


def plan(config: PretrainingConfig, num_devices: int) -> Plan:
    """Returns the needs of a run.

    Args:
        config: Run configuration.
        num_devices: Number of replicas that share the global batch.

    Raises:
        InputError: The batch cannot be divided by the devices, the devices cannot be divided into batch norm groups,
            the network does not exist, or the method has no cost.
    """
    parts = num_devices * config.run.accumulation_steps
    images, rest = divmod(config.data.global_batch_size, parts)
    if rest:
        raise InputError(
            f"data.global_batch_size={config.data.global_batch_size} cannot be divided by {num_devices} devices"
            f" x {config.run.accumulation_steps} accumulation steps; make it a multiple of {parts}"
        )
    cost = method_cost(config)
    return Plan(
        backbone_parameters=sum(backbone_cost(config.backbone).weight_sizes),
        head_parameters=sum(cost.weight_sizes) - cost.prototype_parameters,
        prototype_parameters=cost.prototype_parameters,
        images_per_device=images * config.run.accumulation_steps,
        step_flops=config.data.global_batch_size * _image_flops(config),
        memory=_memory(config, images, num_devices),
        batch_norm=_batch_norm_reductions(config, num_devices),
        embeddings=Reductions(*cost.reductions(num_devices)),
        gradients=_gradient_reductions(config),
    )


def days(num_images: int, images_per_second: float) -> float:
    """Returns the days that images take at a speed over all devices."""
    return num_images / images_per_second / _SECONDS_PER_DAY


def fitting(
    config: PlannedConfig, num_devices: int, device_bytes: int, settled: Container[str] = ()
) -> tuple[dict[str, Any], PlannedConfig] | None:
    """Finds changes that make a run fit, the cheapest first: half precision, activation checkpointing, accumulation.

    Args:
        config: Run configuration.
        num_devices: Number of replicas that share the global batch.
        device_bytes: Memory of one device, in bytes.
        settled: Fields `section.field` that must not change.

    Returns:
        The changed values by `section.field`, empty if the run already fits, and the changed config; None if nothing
        helps.
    """
    values: dict[str, Any] = {}
    if plan(config, num_devices).memory.total <= device_bytes:
        return values, config
    for field, value in _remedies(config, num_devices):
        if field not in settled:
            values[field] = value
            changed = configs.replace(config, values)
            if plan(changed, num_devices).memory.total <= device_bytes:
                return values, changed
    return None


def _remedies(config: PretrainingConfig, num_devices: int) -> Iterator[tuple[str, Any]]:
    if config.run.precision in ("float32", "float64"):
        yield "run.precision", "mixed_bfloat16"
    dearer = {"none": ("convolution", "block"), "convolution": ("block",)}
    for kind in dearer.get(config.backbone.activation_checkpointing, ()):
        if kind in checkpointing_kinds(config.backbone.variant):
            yield "backbone.activation_checkpointing", kind
    images = config.data.global_batch_size // num_devices if method_cost(config).sizes_before else 0
    for steps in range(config.run.accumulation_steps + 1, images + 1):
        if images % steps == 0:
            yield "run.accumulation_steps", steps


def _image_flops(config: PretrainingConfig) -> int:
    """Counts the forward pass over all crops, the backward pass as two forward passes, and recomputed parts.

    A momentum encoder has a forward pass only.
    """
    cost = method_cost(config)
    backbone, head = _forward_multiply_adds(config, cost, len(cost.trained_crops))
    again = backbone if config.backbone.activation_checkpointing in ("block", "stage") else 0
    if config.run.accumulation_steps > 1:
        again += sum(_forward_multiply_adds(config, cost, cost.sizes_before))
    followed = cost.followed_crops * backbone_cost(config.backbone).multiply_adds(config.crops.sizes_px[0])
    return 2 * (3 * (backbone + head) + again + followed + cost.followed_crops * cost.followed_parameters)


def _forward_multiply_adds(config: PretrainingConfig, cost: MethodCost, num_sizes: int) -> tuple[int, int]:
    """Returns the multiply-adds of backbone and head for one image's crops with the first `num_sizes` sizes."""
    backbone = backbone_cost(config.backbone)
    groups = list(zip(cost.trained_crops, config.crops.forward_sizes_px, strict=True))[:num_sizes]
    of_backbone = sum(count * backbone.multiply_adds(size) for count, size in groups)
    return of_backbone, cost.multiply_adds * sum(count for count, _ in groups)


def _memory(config: PretrainingConfig, images: int, num_devices: int) -> Memory:
    element, wide = _element_bytes(config)
    cost, parameters = method_cost(config), sum(weight_sizes(config))
    activations, recomputed = _activations(config, cost, images)
    of_weight = wide + (element if element < wide else 0)
    followed = sum(backbone_cost(config.backbone).weight_sizes) + cost.followed_parameters if cost.followed_crops else 0
    return Memory(
        weights=parameters * of_weight,
        velocity=parameters * wide,
        gradients=parameters * wide * _GRADIENT_COPIES,
        activations=round(activations * (1 + _BACKWARD_SHARE)),
        recomputed=recomputed,
        head=cost.head_bytes(images),
        queue=cost.queue_bytes(num_devices),
        momentum_encoder=followed * of_weight,
    )


def _element_bytes(config: PretrainingConfig) -> tuple[int, int]:
    """Returns the bytes of an activation, and the bytes of a weight or another number in full precision."""
    wide = 8 if config.run.precision == "float64" else FLOAT
    return _HALF if config.run.precision.startswith("mixed") else wide, wide


def _activations(config: PretrainingConfig, method: MethodCost, images: int) -> tuple[int, int]:
    """Returns the bytes that are kept, and the bytes of the largest part that is computed again."""
    element, _ = _element_bytes(config)
    cost, kept, recomputed = backbone_cost(config.backbone), 0, 0
    for count, size in zip(method.trained_crops, config.crops.forward_sizes_px, strict=True):
        image = 3 * size**2 * (1 + FLOAT + (element if element == _HALF else 0)) + 3 * (size + 2) ** 2 * element
        of_blocks, again = _kept_and_recomputed(cost.blocks(size), config.backbone.activation_checkpointing)
        rows = count * images
        kept += rows * (image + (cost.stem_elements(size) + of_blocks) * element)
        recomputed = max(recomputed, rows * again * element)
    return kept, recomputed


def _kept_and_recomputed(blocks: Sequence[BlockCost], checkpointing: str) -> tuple[int, int]:
    """Returns the numbers for one image that are kept, and those of the largest part that is computed again at once."""

    def whole(part: Sequence[BlockCost]) -> int:
        return sum(block.input + sum(block.between) + sum(block.inner) + block.outer for block in part)

    if checkpointing == "none":
        return whole(blocks), 0
    if checkpointing == "convolution":
        kept = sum(block.input + sum(block.inner) + block.outer for block in blocks)
        return kept, max(between for block in blocks for between in block.between)
    parts = [[block] for block in blocks]
    if checkpointing == "stage":
        parts = [list(group) for _, group in itertools.groupby(blocks, key=lambda block: block.stage)]
    return sum(part[0].input for part in parts), max(map(whole, parts))


def _batch_norm_reductions(config: PretrainingConfig, num_devices: int) -> Reductions:
    cost, parts = method_cost(config), config.run.accumulation_steps
    passes = [  # the statistics, and their gradients, which need no number of rows
        _statistics(config, num_devices, cost.num_forwards, cost.normalized_widths, num_counts=number)
        for number in (1, 0)
    ]
    if parts > 1:
        num_forwards = min(cost.num_forwards, cost.sizes_before)
        passes.append(_statistics(config, num_devices, num_forwards, cost.normalized_widths))
    if cost.followed_crops:
        passes.append(_statistics(config, num_devices, cost.followed_crops, cost.followed_widths))
    return Reductions(parts * sum(each.number for each in passes), parts * sum(each.num_bytes for each in passes))


def _statistics(
    config: PretrainingConfig, num_devices: int, num_forwards: int, head_widths: Sequence[int], *, num_counts: int = 1
) -> Reductions:
    """Returns the sums in `num_forwards` passes of the backbone, and of the head; each sum has `num_counts` counts."""
    widths = [*(list(backbone_cost(config.backbone).normalized_widths) * num_forwards), *head_widths]
    groups = collectives.num_groups(num_devices, group_replicas=config.run.batch_norm_group_replicas)
    return Reductions(len(widths), groups * sum(2 * width + num_counts for width in widths) * FLOAT)


def _gradient_reductions(config: PretrainingConfig) -> Reductions:
    element = FLOAT if config.run.reduce_precision == "float32" else _HALF
    sizes = [size * element for size in weight_sizes(config)]
    return Reductions(len(collectives.buckets(sizes)), sum(sizes))


def weight_sizes(config: PretrainingConfig) -> list[int]:
    """Returns the number of elements of each trained weight, in the order of the model."""
    return [*backbone_cost(config.backbone).weight_sizes, *method_cost(config).weight_sizes]


def method_cost(config: PretrainingConfig) -> MethodCost:
    """Returns the cost of a config's method.

    Raises:
        InputError: The method has none.
    """
    cost = find_method(config.method).cost
    if cost is None:
        raise InputError(f"the method {config.method} says nothing of its cost; add `cost` to its registry entry")
    return cost(config)
