"""Derives the config of recipe auto from the images, this machine and the available time, with a speed trial."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from seer_tf import config as configs
from seer_tf.config import PretrainingConfig
from seer_tf.data.sources.registry import Source
from seer_tf.distributed.gpus import num_gpus
from seer_tf.distributed.strategy import Placement, choose_devices
from seer_tf.errors import InputError
from seer_tf.parallel import host_gib, num_cores
from seer_tf.pretraining.auto import rules
from seer_tf.pretraining.auto.choices import Choices, Facts
from seer_tf.pretraining.auto.dataset_summary import summarize
from seer_tf.pretraining.auto.speed_trial import images_per_second
from seer_tf.pretraining.auto.starting_network import starting_choices
from seer_tf.pretraining.auto.swav_rules import LEAST_VIEW_CORRELATION, with_view_correlation
from seer_tf.pretraining.auto.view_correlation import view_correlation
from seer_tf.quantities import counted, percent

MINUTES = 45.0  # default

# A first guess, which chooses the network; the speed trial then measures the speed.
_FLOPS_OF_A_CORE, _FLOPS_OF_A_GPU = 25e9, 10e12
_GPU_GIB = 16.0
_MOST_TRIALS = 2


@dataclasses.dataclass(frozen=True)
class Derivation:
    """Derives a config for images, and reports each of its values with the reason.

    Attributes:
        placement: Devices of the run.
        strategy: Kind of the strategy, as the user named it.
        minutes: Time for finding the settings and training, in minutes.
        device_memory_gib: Memory of one device, in GiB; None for the host's memory, or 16 for a GPU.
        say: Function that receives each line of the report.
        colour: Function that returns how well colour histograms classify labelled images, from 0 (chance) to 1, and a
            sentence that says so; the sentence is empty without labels.
        method: Method of the run, one of `rules.METHODS`.
        clock: Clock of the minutes, in seconds. One that stands still leaves all of them to the training.
    """

    placement: Placement
    strategy: str
    minutes: float
    device_memory_gib: float | None
    say: Callable[[str], None]
    colour: Callable[[], tuple[float, str]] = lambda: (0.0, "")
    method: str = rules.METHODS[0]
    clock: Callable[[], float] = time.monotonic

    def config(self, source: Source, own: Mapping[str, Any]) -> PretrainingConfig:
        """Returns the config. The time for finding the settings is part of the minutes.

        Args:
            source: Images to train on.
            own: Values that the user has set, by `section.field`; they take precedence over derived values.

        Raises:
            InputError: Several workers are named, the images teach nothing, no network fits, or a value is not allowed.
        """
        started = self.clock()
        facts = self._facts(source)
        choices, speed = self._with_network(facts, own, started)
        choices = self._with_distortion(choices, facts, source)
        if speed is not None:
            spent = self._minutes_since(started)
            choices = rules.with_speed(choices, facts, speed, spent_minutes=spent)
            self._warn_of_few_steps(choices.config, speed, spent)
        for choice in choices:
            self.say(f"  {choice}")
        return configs.validate(choices.config)

    def _facts(self, source: Source) -> Facts:
        """Returns the facts from which the config is derived, and reports them."""
        placement = self.placement
        if placement.cluster is not None:
            raise InputError(
                "`recipe=auto` works on one host only; derive a config there with `strategy=auto` `show_config`, and "
                "give its lines to all workers by `set`"
            )
        choose_devices(placement)  # before anything is computed
        seen, gpus = summarize(source), num_gpus()
        gib = self.device_memory_gib or (_GPU_GIB if gpus else host_gib() / placement.num_devices)
        self.say(
            f"{counted(seen.num_images, 'image')}, shorter side {seen.shorter_side_px} px; "
            f"{counted(placement.num_devices, 'device')} of {gib:.1f} GiB, {'GPU' if gpus else 'CPU'}; "
            f"{counted(self.minutes, 'minute')}"
        )
        speed = _FLOPS_OF_A_GPU * placement.num_devices if gpus else _FLOPS_OF_A_CORE * num_cores()
        return Facts(
            num_images=seen.num_images,
            shorter_side_px=seen.shorter_side_px,
            num_devices=placement.num_devices,
            is_accelerator=bool(gpus),
            device_bytes=round(gib * 2**30),
            minutes=self.minutes,
            flops_per_second=speed,
        )

    def _with_network(self, facts: Facts, own: Mapping[str, Any], started: float) -> tuple[Choices, float | None]:
        """Returns the choices and the measured speed in images per second; None if the user has set the length."""
        start = starting_choices(own)
        choices = rules.choose(facts, own, self.method, start)
        if "run.num_steps" in own:
            return choices, None
        for _ in range(_MOST_TRIALS):
            config = choices.config
            self.say(f"speed trial: {config.backbone.variant} for some steps …")
            speed = images_per_second(config, self.strategy, facts.num_devices)
            choices = rules.with_speed(choices, facts, speed, spent_minutes=self._minutes_since(started))
            if rules.leaves_enough_steps(choices.config):
                break
            flops_per_second = rules.speed_of(config, speed)
            faster = dataclasses.replace(facts, flops_per_second=flops_per_second)
            choices = rules.choose(faster, own, self.method, start)
            # Scales the measured speed to the network that is chosen now.
            speed *= rules.speed_of(config, 1.0) / rules.speed_of(choices.config, 1.0)
            if rules.computes_the_same(choices.config, config):
                break  # as with a network that the user gives: another trial would measure the same
        return choices, speed

    def _minutes_since(self, started: float) -> float:
        return (self.clock() - started) / 60

    def _warn_of_few_steps(self, config: PretrainingConfig, speed: float, spent_minutes: float) -> None:
        """Warns if the minutes allow too few steps, and says how many minutes a run needs."""
        if config.run.num_steps < rules.FEWEST_STEPS:
            seconds = rules.FEWEST_STEPS * config.data.global_batch_size / speed
            self.say(
                f"warning: `minutes={self.minutes:g}` allows {config.run.num_steps:,} steps, and a run needs about "
                f"{rules.FEWEST_STEPS:,} to learn; give `minutes={math.ceil(spent_minutes + seconds / 60)}` or more"
            )

    def _with_distortion(self, choices: Choices, facts: Facts, source: Source) -> Choices:
        """Returns the choices with a distortion of colour that fits the images."""
        colour_share, said = self.colour()
        if said:
            self.say(said)
        of_method = rules.find_rules(self.method)
        distortions = of_method.distortions(choices, facts, colour_share)
        if not of_method.has_view_correlation:
            return distortions[0]
        return self._with_view_correlation(distortions, colour_share, source)

    def _with_view_correlation(self, distortions: list[Choices], colour_share: float, source: Source) -> Choices:
        """Returns the strongest distortion that keeps the view correlation high enough, or else the weakest."""
        self.say("view correlation: how much two crops of an image have in common …")
        # Distortions may coincide if the user has set some of their values.
        tried = {each.config.crops: each for each in distortions}
        for crops, distorted in tried.items():
            share = view_correlation(distorted.config, source)
            self.say(f"  {percent(share)} with crops.brightness={crops.brightness:g} and crops.hue={crops.hue:g}")
            if share >= LEAST_VIEW_CORRELATION:
                break
        else:
            self.say(
                "warning: even with the weakest distortion of colours that was tried, two crops of an image share only "
                f"{percent(share)} of an untrained network's variance, so the run may stay at the loss of chance "
                "(docs/lab/results.md)"
            )
        return with_view_correlation(distorted, share, colour_share)
