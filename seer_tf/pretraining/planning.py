"""Planning: computes from a config alone what a run will need in parameters, arithmetic, memory, reductions and days.

The memory is that of one device when the backward pass begins. It is the sum of the tensors that our layers keep. The
program itself (TensorFlow, the traced graph, work space of libraries) is not included.
`benchmarks/suite/step_memory.py` compares the planned memory with the smallest memory in which a step runs.
"""

import dataclasses
import itertools
from collections.abc import Container, Iterator, Sequence
from typing import Any

import tensorflow as tf

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.distributed import collectives
from seer_tf.errors import InputError
from seer_tf.methods.swav.sinkhorn import working_dtype
from seer_tf.models.backbone import BlockCost
from seer_tf.models.backbones.registry import backbone_cost, checkpointing_kinds

_SECONDS_PER_DAY = 86_400
_FLOAT = 4  # bytes
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
        velocity: Velocity of LARS.
        gradients: Gradients of all weights, counted once for each copy that exists at the same time.
        activations: Tensors that the forward pass keeps for the backward pass, and the backward pass's own tensors.
        recomputed: The largest part that activation checkpointing computes again at once.
        head: Activations and scores of the head.
        queue: Embeddings from earlier batches, and the scores of this device's share of them.
    """

    weights: int
    velocity: int
    gradients: int
    activations: int
    recomputed: int
    head: int
    queue: int

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
        backbone_parameters: Number of parameters in the trunk.
        head_parameters: Number of parameters in the projection head.
        prototype_parameters: Number of parameters in the prototypes.
        images_per_device: Images per step on one device.
        step_flops: Floating-point operations per step on all devices; a multiply-add counts as two.
        memory: Memory of one device.
        batch_norm: Sums of statistics, and of their gradients.
        codes: Sums in Sinkhorn's algorithm, and the gather of embeddings for the queue.
        gradients: Sums of gradients.
    """

    backbone_parameters: int
    head_parameters: int
    prototype_parameters: int
    images_per_device: int
    step_flops: int
    memory: Memory
    batch_norm: Reductions
    codes: Reductions
    gradients: Reductions

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return self.backbone_parameters + self.head_parameters + self.prototype_parameters


def plan(config: Config, num_devices: int) -> Plan:
    """Returns the needs of a run.

    Args:
        config: Run configuration.
        num_devices: Number of replicas that share the global batch.

    Raises:
        InputError: The batch cannot be divided by the devices, the devices cannot be divided into batch norm groups, or
            the network does not exist.
    """
    parts = num_devices * config.run.accumulation_steps
    images, rest = divmod(config.data.global_batch_size, parts)
    if rest:
        raise InputError(
            f"data.global_batch_size={config.data.global_batch_size} cannot be divided by {num_devices} devices"
            f" x {config.run.accumulation_steps} accumulation steps; make it a multiple of {parts}"
        )
    backbone = sum(backbone_cost(config.backbone).weight_sizes)
    head_sizes = list(_head_weight_sizes(config))
    prototypes = config.head.num_prototypes * config.head.embedding_dim
    head = sum(head_sizes) - prototypes
    parameters = backbone + head + prototypes
    return Plan(
        backbone_parameters=backbone,
        head_parameters=head,
        prototype_parameters=prototypes,
        images_per_device=images * config.run.accumulation_steps,
        step_flops=config.data.global_batch_size * _image_flops(config),
        memory=_memory(config, parameters, images, num_devices),
        batch_norm=_batch_norm_reductions(config, num_devices),
        codes=_code_reductions(config, num_devices),
        gradients=_gradient_reductions(config),
    )


def days(num_images: int, images_per_second: float) -> float:
    """Returns the days that images take at a speed over all devices."""
    return num_images / images_per_second / _SECONDS_PER_DAY


def fitting(
    config: Config, num_devices: int, device_bytes: int, settled: Container[str] = ()
) -> tuple[dict[str, Any], Config] | None:
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


def _remedies(config: Config, num_devices: int) -> Iterator[tuple[str, Any]]:
    if config.run.precision in ("float32", "float64"):
        yield "run.precision", "mixed_bfloat16"
    dearer = {"none": ("convolution", "block"), "convolution": ("block",)}
    for kind in dearer.get(config.backbone.activation_checkpointing, ()):
        if kind in checkpointing_kinds(config.backbone.variant):
            yield "backbone.activation_checkpointing", kind
    images = config.data.global_batch_size // num_devices
    for steps in range(config.run.accumulation_steps + 1, images + 1):
        if images % steps == 0:
            yield "run.accumulation_steps", steps


def _head_widths(config: Config) -> tuple[int, ...]:
    return (backbone_cost(config.backbone).feature_width, *config.head.hidden_dims, config.head.embedding_dim)


def _image_flops(config: Config) -> int:
    """Counts the forward pass over all crops, the backward pass as two forward passes, and recomputed parts."""
    trunk, head = _forward_multiply_adds(config, len(config.crops.num))
    again = trunk if config.backbone.activation_checkpointing in ("block", "stage") else 0
    if config.run.accumulation_steps > 1:
        again += sum(_forward_multiply_adds(config, _num_sizes_for_codes(config)))
    return 2 * (3 * (trunk + head) + again)


def _forward_multiply_adds(config: Config, num_sizes: int) -> tuple[int, int]:
    """Returns the multiply-adds of trunk and head for one image's crops with the first `num_sizes` sizes."""
    cost = backbone_cost(config.backbone)
    groups = list(zip(config.crops.num, config.crops.forward_sizes_px, strict=True))[:num_sizes]
    trunk = sum(count * cost.multiply_adds(size) for count, size in groups)
    widths = (*_head_widths(config), config.head.num_prototypes)
    head = sum(width_in * width_out for width_in, width_out in itertools.pairwise(widths))
    return trunk, head * sum(count for count, _ in groups)


def _num_sizes_for_codes(config: Config) -> int:
    """Returns the number of crop sizes in the first pass over micro-batches; batch norm over all crops needs all."""
    return len(config.crops.num) if config.head.batch_norm or config.crops.padded else 1


def _memory(config: Config, parameters: int, images: int, num_devices: int) -> Memory:
    element, wide = _element_bytes(config)
    activations, recomputed = _activations(config, images, synchronized=num_devices > 1)
    return Memory(
        weights=parameters * (wide + (element if element < wide else 0)),
        velocity=parameters * wide,
        gradients=parameters * wide * _GRADIENT_COPIES,
        activations=round(activations * (1 + _BACKWARD_SHARE)),
        recomputed=recomputed,
        head=_head_memory(config, images),
        queue=_queue_memory(config, num_devices),
    )


def _element_bytes(config: Config) -> tuple[int, int]:
    """Returns the bytes of an activation, and the bytes of a weight or another number in full precision."""
    wide = 8 if config.run.precision == "float64" else _FLOAT
    return _HALF if config.run.precision.startswith("mixed") else wide, wide


def _activations(config: Config, images: int, *, synchronized: bool) -> tuple[int, int]:
    """Returns the bytes that are kept, and the bytes of the largest part that is computed again."""
    element, wide = _element_bytes(config)
    # Synchronised batch norm consists of single operations and keeps two float32 tensors; the fused keeps its input.
    normalized = 2 * wide if synchronized else element
    cost, kept, recomputed = backbone_cost(config.backbone), 0, 0
    for count, size in zip(config.crops.num, config.crops.forward_sizes_px, strict=True):
        image = 3 * size**2 * (1 + _FLOAT + (element if element == _HALF else 0)) + 3 * (size + 2) ** 2 * element
        trunk, again = _trunk(cost.blocks(size), config.backbone.activation_checkpointing, element, normalized)
        rows = count * images
        kept += rows * (image + cost.stem_elements(size) * normalized + trunk)
        recomputed = max(recomputed, rows * again)
    return kept, recomputed


def _trunk(blocks: Sequence[BlockCost], checkpointing: str, element: int, normalized: int) -> tuple[int, int]:
    """Returns the bytes for one image that are kept, and those of the largest part that is computed again at once."""

    def whole(part: Sequence[BlockCost]) -> int:
        elements = sum(block.input + sum(block.between) for block in part)
        return elements * element + sum(sum(block.inner) + block.outer for block in part) * normalized

    if checkpointing == "none":
        return whole(blocks), 0
    if checkpointing == "convolution":
        kept = sum((block.input + sum(block.inner)) * element + block.outer * normalized for block in blocks)
        segments = [segment for block in blocks for segment in zip(block.inner, block.between, strict=True)]
        return kept, max(inner * (normalized - element) + between * element for inner, between in segments)
    parts = [[block] for block in blocks]
    if checkpointing == "stage":
        parts = [list(group) for _, group in itertools.groupby(blocks, key=lambda block: block.stage)]
    return sum(part[0].input * element for part in parts), max(map(whole, parts))


def _head_memory(config: Config, images: int) -> int:
    rows, widths = sum(config.crops.num) * images, _head_widths(config)
    element, wide = _element_bytes(config)
    hidden = rows * sum(config.head.hidden_dims) * element * (2 if config.head.batch_norm else 1)
    # For every crop: scores, their softmax and its gradient. For assigning crops: scores, exponentials and codes.
    scores = 3 * images * config.head.num_prototypes * sum(config.crops.num) * wide
    codes = 3 * images * config.head.num_prototypes * config.swav.num_assigning_crops * _code_bytes(config)
    return hidden + rows * (widths[0] + 2 * widths[-1]) * wide + scores + codes


def _queue_memory(config: Config, num_devices: int) -> int:
    """Returns the bytes of the queue, which every device holds, and of scores, exponentials and codes of its share."""
    _, wide = _element_bytes(config)
    stored = config.swav.queue_length * config.head.embedding_dim * wide
    scores = 3 * config.swav.queue_length // num_devices * config.head.num_prototypes * _code_bytes(config)
    return config.swav.num_assigning_crops * (stored + scores)


def _code_bytes(config: Config) -> int:
    """Returns the size in bytes of a number in Sinkhorn's algorithm."""
    _, wide = _element_bytes(config)
    return working_dtype(tf.float64 if wide > _FLOAT else tf.float32, config.swav.epsilon).size


def _batch_norm_reductions(config: Config, num_devices: int) -> Reductions:
    once = _statistics(config, num_devices, config.crops.num_forwards)
    number, num_bytes = 2 * once.number, 2 * once.num_bytes  # the statistics, and as much for their gradients
    parts = config.run.accumulation_steps
    if parts > 1:
        first = _statistics(config, num_devices, min(config.crops.num_forwards, _num_sizes_for_codes(config)))
        number, num_bytes = number + first.number, num_bytes + first.num_bytes
    return Reductions(parts * number, parts * num_bytes)


def _statistics(config: Config, num_devices: int, num_forwards: int) -> Reductions:
    """Returns the sums in `num_forwards` forward passes of the backbone, and of the head."""
    widths = list(backbone_cost(config.backbone).normalized_widths)
    widths *= num_forwards
    if config.head.batch_norm:
        widths += config.head.hidden_dims
    groups = collectives.num_groups(num_devices, group_replicas=config.run.batch_norm_group_replicas)
    return Reductions(len(widths), groups * sum(2 * width + 1 for width in widths) * _FLOAT)


def _code_reductions(config: Config, num_devices: int) -> Reductions:
    iterations, assigning = config.swav.sinkhorn_iterations, config.swav.num_assigning_crops
    num_bytes = assigning * (iterations * config.head.num_prototypes + num_devices) * _code_bytes(config)
    if not config.swav.queue_length:
        return Reductions(iterations + 1, num_bytes)
    gathered = assigning * config.data.global_batch_size * config.head.embedding_dim
    return Reductions(iterations + 2, num_bytes + gathered * _FLOAT)


def _gradient_reductions(config: Config) -> Reductions:
    element = _FLOAT if config.run.reduce_precision == "float32" else _HALF
    sizes = [size * element for size in weight_sizes(config)]
    return Reductions(len(collectives.buckets(sizes)), sum(sizes))


def weight_sizes(config: Config) -> list[int]:
    """Returns the number of elements of each trained weight, in the order of the model."""
    return [*backbone_cost(config.backbone).weight_sizes, *_head_weight_sizes(config)]


def _head_weight_sizes(config: Config) -> Iterator[int]:
    yield config.head.num_prototypes * config.head.embedding_dim
    for width_in, width_out in itertools.pairwise(_head_widths(config)):
        yield from (width_in * width_out, width_out)
    for width in config.head.hidden_dims if config.head.batch_norm else ():
        yield from (width, width)
