"""The families of backbones that a config can name."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

from seer_tf.config import BackboneConfig
from seer_tf.errors import InputError
from seer_tf.models.backbone import Backbone, BackboneCost
from seer_tf.models.backbones.regnet import design as regnet_design
from seer_tf.models.backbones.regnet.cost import RegNetCost
from seer_tf.models.backbones.regnet.network import RegNetY


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of backbones.

    Attributes:
        variants: Names that `backbone.variant` may have.
        build: Takes a variant and, by keyword, `stem_stride`, `synchronized`, `group_replicas`,
            `activation_checkpointing` and `dtype`; returns the network with fresh weights.
        cost: Takes a config and returns the cost of the network.
    """

    variants: Collection[str]
    build: Callable[..., Backbone]
    cost: Callable[[BackboneConfig], BackboneCost]


_FAMILIES = [Family(regnet_design.VARIANTS, RegNetY, RegNetCost)]


def register(family: Family) -> None:
    """Adds a family, so that configs can name its variants.

    Raises:
        ValueError: A variant has the name of one that is registered.
    """
    taken = {variant for known in _FAMILIES for variant in known.variants} & set(family.variants)
    if taken:
        raise ValueError(f"there are backbones named {', '.join(sorted(taken))} already")
    _FAMILIES.append(family)


def build_backbone(
    config: BackboneConfig, *, synchronized: bool = False, group_replicas: int = 0, dtype: Any = None
) -> Backbone:
    """Returns the backbone of a config, with fresh weights.

    Args:
        config: Backbone configuration.
        synchronized: Whether batch normalisation takes its statistics over several replicas.
        group_replicas: Number of neighbouring replicas that share statistics; 0 for all.
        dtype: Dtype policy of every layer; None for Keras's global policy.

    Raises:
        InputError: There is no such network.
    """
    return _family(config.variant).build(
        config.variant,
        stem_stride=config.stem_stride,
        synchronized=synchronized,
        group_replicas=group_replicas,
        activation_checkpointing=config.activation_checkpointing,
        dtype=dtype,
    )


def backbone_cost(config: BackboneConfig) -> BackboneCost:
    """Returns what the backbone of a config costs, without building it.

    Args:
        config: Backbone configuration.

    Raises:
        InputError: There is no such network.
    """
    return _family(config.variant).cost(config)


def _family(variant: str) -> Family:
    for family in _FAMILIES:
        if variant in family.variants:
            return family
    raise InputError.unknown("backbone", variant, [name for family in _FAMILIES for name in family.variants])
