"""The families of backbones that a config can name."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

from seer_tf.config import ACTIVATION_CHECKPOINTING, BackboneConfig
from seer_tf.errors import InputError
from seer_tf.models.backbone import Backbone, BackboneCost
from seer_tf.models.backbones.keras_model.cost import KerasCost
from seer_tf.models.backbones.keras_model.network import build
from seer_tf.models.backbones.keras_model.source import Variants
from seer_tf.models.backbones.regnet import design as regnet_design
from seer_tf.models.backbones.regnet.cost import RegNetCost
from seer_tf.models.backbones.regnet.network import RegNetY
from seer_tf.models.backbones.resnet import design as resnet_design
from seer_tf.models.backbones.resnet.cost import ResNetCost
from seer_tf.models.backbones.resnet.network import ResNet


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of backbones.

    Attributes:
        variants: Names that `backbone.variant` may have.
        build: Function of a variant and of the keywords `stem_stride`, `synchronized`, `group_replicas`,
            `activation_checkpointing` and `dtype`. It returns the network with fresh weights.
        cost: Function of a config. It returns the cost of the network.
        checkpointing: Kinds of activation checkpointing that the networks can do.
        takes_weights: Whether the networks have `take_weights`, for `backbone.weights` of a config.
    """

    variants: Collection[str]
    build: Callable[..., Backbone]
    cost: Callable[[BackboneConfig], BackboneCost]
    checkpointing: Collection[str] = ACTIVATION_CHECKPOINTING
    takes_weights: bool = False


_FAMILIES = [
    Family(regnet_design.VARIANTS, RegNetY, RegNetCost),
    Family(resnet_design.VARIANTS, ResNet, ResNetCost, checkpointing=("none", "block", "stage")),
    Family(Variants(), build, KerasCost, checkpointing=("none",), takes_weights=True),
]


def register(family: Family) -> None:
    """Adds a family, so that configs can name its variants.

    Raises:
        ValueError: A variant's name is already registered.
    """
    taken = {variant for known in _FAMILIES for variant in known.variants} & set(family.variants)
    if taken:
        raise ValueError(f"backbones with these names are already registered: {', '.join(sorted(taken))}")
    _FAMILIES.append(family)


def build_backbone(
    config: BackboneConfig, *, synchronized: bool = False, group_replicas: int = 0, dtype: Any = None
) -> Backbone:
    """Returns the backbone of a config, with fresh weights.

    Args:
        config: Backbone configuration.
        synchronized: Whether several replicas share their batch normalisation statistics.
        group_replicas: Number of neighbouring replicas that share statistics; 0 for all.
        dtype: Dtype policy of every layer; None for Keras's global policy.

    Raises:
        InputError: No family has the variant.
    """
    check_backbone(config)
    return _family(config.variant).build(
        config.variant,
        stem_stride=config.stem_stride,
        synchronized=synchronized,
        group_replicas=group_replicas,
        activation_checkpointing=config.activation_checkpointing,
        dtype=dtype,
    )


def backbone_cost(config: BackboneConfig) -> BackboneCost:
    """Returns the cost of a config's backbone, without building the network.

    Args:
        config: Backbone configuration.

    Raises:
        InputError: No family has the variant.
    """
    check_backbone(config)
    return _family(config.variant).cost(config)


def check_backbone(config: BackboneConfig) -> None:
    """Raises an error if there is no such backbone, or it cannot do what the config says; builds nothing.

    Args:
        config: Backbone configuration.

    Raises:
        InputError: No family has the variant, or the family cannot do the activation checkpointing.
    """
    kind, kinds = config.activation_checkpointing, checkpointing_kinds(config.variant)
    if kind not in kinds:
        raise InputError(
            f"backbone.activation_checkpointing={kind}: {config.variant} cannot recompute that; set it to "
            f"{' or '.join(kinds)}, or raise run.accumulation_steps to save memory"
        )
    if config.weights and not _family(config.variant).takes_weights:
        raise InputError(
            f"backbone.weights={config.weights}: {config.variant} is no Keras model; start it by `run.init_from` "
            "from a run, a conversion or a .keras file of this package"
        )


def checkpointing_kinds(variant: str) -> Collection[str]:
    """Returns the kinds of activation checkpointing that a backbone can do.

    Raises:
        InputError: No family has the variant.
    """
    return _family(variant).checkpointing


def _family(variant: str) -> Family:
    for family in _FAMILIES:
        if variant in family.variants:
            return family
    raise InputError.unknown("backbone", variant, [name for family in _FAMILIES for name in family.variants])
