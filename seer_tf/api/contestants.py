"""The contestants of a comparison of methods, and their configs by recipe auto: one network, one size of crops."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from seer_tf import config as configs
from seer_tf.api.pretraining import Pretraining
from seer_tf.config import Config, PretrainingConfig
from seer_tf.data.sources.registry import open_source
from seer_tf.distributed.devices import Devices
from seer_tf.pretraining.auto.rules import METHODS, find_rules

#: SwAV with two crops in place of multi-crop, which the other methods do not have.
TWO_CROPS = "swav_two_crops"
#: Methods as recipe auto sets them, and `TWO_CROPS`.
CONTESTANTS = (*METHODS, TWO_CROPS)


@dataclasses.dataclass(frozen=True)
class Contestants:
    """What the configs of the contestants are derived from.

    Attributes:
        names: Names in `CONTESTANTS`. The first method decides on the network and the size of the crops.
        data: Data spec of the images.
        minutes: Time for the training of each run, in minutes; None if `steps` is given.
        steps: Number of steps of each run, with as many images as the first method takes; None if `minutes` is given.
        settings: Fields to set, `section.field=value`; the section of one method counts for that method.
        devices: Devices of this host.
        say: Function that receives each line of the report.
    """

    names: Sequence[str]
    data: str
    minutes: float | None
    steps: int | None
    settings: Sequence[str]
    devices: Devices
    say: Callable[[str], None]

    def configs(self) -> dict[str, PretrainingConfig]:
        """Returns the config of each contestant.

        Raises:
            InputError: A setting is wrong, or no config can be derived from the images.
        """
        found: dict[str, PretrainingConfig] = {}
        for name in sorted(self.names, key=lambda name: name == TWO_CROPS):  # stable, so the others keep their order
            self.say(f"settings of {name}")
            found[name] = self._config(name, next(iter(found.values()), None))
        return {name: found[name] for name in self.names}

    def _config(self, name: str, first: PretrainingConfig | None) -> PretrainingConfig:
        values: dict[str, Any] = {"data.source": self.data}
        if self.steps is not None:
            values["run.num_steps"] = self.steps
        if first is not None:
            values |= self._shared(name, first)
        own = [f"{field}={configs.format_value(value)}" for field, value in values.items()]
        return Pretraining(
            start=None,
            method=method_of(name),
            assignments=[*settings_of(name, self.settings), *own],
            minutes=self.minutes,
            devices=self.devices,
            say=self.say,
            clock=lambda: 0.0,  # finding the settings takes nothing from the training
        ).config()

    def _shared(self, name: str, first: PretrainingConfig) -> dict[str, Any]:
        """Returns what a contestant takes from the first one."""
        side, num_images = first.crops.sizes_px[0], open_source(self.data).num_images
        crops = {each.field: each.value for each in find_rules(method_of(name)).crops(side, num_images)}
        if name == TWO_CROPS:
            crops = {field: value[:1] for field, value in crops.items() if isinstance(value, tuple)}
        else:
            crops = {"crops.sizes_px": crops["crops.sizes_px"]}
        batch = {} if self.steps is None else {"data.global_batch_size": first.data.global_batch_size}
        network = {"backbone.variant": first.backbone.variant, "backbone.stem_stride": first.backbone.stem_stride}
        return {**network, **crops, **batch}


def method_of(name: str) -> str:
    """Returns the method of a contestant."""
    return Config.method if name == TWO_CROPS else name


def settings_of(name: str, settings: Sequence[str]) -> list[str]:
    """Returns the settings that count for a contestant: all but those of other methods' sections."""
    others = {method for method in METHODS if method != method_of(name)}
    return [each for each in settings if each.partition(".")[0].strip() not in others]
