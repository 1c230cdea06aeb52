"""What the recipe `auto` takes from the network that a run starts from: its architecture, but no head or schedule."""

from collections.abc import Mapping
from typing import Any

from seer_tf import config as configs
from seer_tf.errors import InputError
from seer_tf.pretraining.auto.choices import Choice
from seer_tf.pretraining.warm_start import fields_of


def starting_choices(own: Mapping[str, Any]) -> tuple[Choice, ...]:
    """Returns the choices that the network in `run.init_from` makes; none without such a network.

    Args:
        own: Values that the user has set, by `section.field`.

    Raises:
        InputError: The network cannot be read, or the user has set another one.
    """
    source = own.get("run.init_from")
    if not source:
        return ()
    found = {"run.reset": configs.PARTS_TO_RESET, **fields_of(source)}
    asked = own.get("backbone.variant")
    if asked not in (None, has := found["backbone.variant"]):
        raise InputError(f"backbone.variant={asked}, but `run.init_from={source}` holds {has}; leave out one of them")
    reasons = {"run.reset": "only the backbone's weights are taken"}
    return tuple(
        Choice(field, value, reasons.get(field, "as the network in run.init_from"), is_own=True)
        for field, value in found.items()
        if field not in own
    )
