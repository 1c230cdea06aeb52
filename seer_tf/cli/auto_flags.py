"""The flags of `--recipe=auto`, and the config that it derives from the images, this machine and the time there is."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from absl import flags

from seer_tf import config as configs
from seer_tf.cli import strategy_flags
from seer_tf.cli.speed_trial import images_per_second
from seer_tf.config import Config
from seer_tf.data.sources.registry import Source
from seer_tf.distributed.strategy import choose_devices, num_gpus
from seer_tf.errors import InputError
from seer_tf.pretraining.auto import rules
from seer_tf.pretraining.auto.dataset_summary import summarize
from seer_tf.pretraining.auto.rules import Choice, Facts
from seer_tf.pretraining.auto.view_correlation import view_correlation

MINUTES = flags.DEFINE_float("minutes", 45, "Of --recipe=auto: how long training may take.", lower_bound=0.1)
DEVICE_MEMORY = flags.DEFINE_float(
    "device_memory_gib", None, "Of --recipe=auto: memory of one device. [the host's, or 16 of a GPU]", lower_bound=0.1
)

# A first guess, for the choice of the network; the rehearsal then measures.
_FLOPS_OF_A_CORE, _FLOPS_OF_A_GPU = 25e9, 10e12
_GPU_GIB = 16.0
_MOST_REHEARSALS = 2


def derived(source: Source, own: Mapping[str, Any]) -> Config:
    """Returns the config for the images, and prints each of its values with the reason.

    Args:
        source: Images to train on.
        own: Values that the user has set, by `section.field`; they hold whatever is derived.

    Raises:
        InputError: Several workers are named, the images teach nothing, no network fits, or a value is not allowed.
    """
    placement = strategy_flags.placement(strategy_flags.cluster())
    if placement.cluster is not None:
        raise InputError(
            "--recipe=auto looks at one host; derive a config there with --strategy=auto --show_config, and give its "
            "lines to all workers by --set"
        )
    choose_devices(placement)  # before the survey computes
    seen, gpus = summarize(source), num_gpus()
    gib = DEVICE_MEMORY.value or (_GPU_GIB if gpus else _host_gib() / placement.num_devices)
    facts = Facts(
        num_images=seen.num_images,
        shorter_side_px=seen.shorter_side_px,
        num_devices=placement.num_devices,
        is_accelerator=bool(gpus),
        device_bytes=round(gib * 2**30),
        minutes=MINUTES.value,
        flops_per_second=_FLOPS_OF_A_GPU * placement.num_devices if gpus else _FLOPS_OF_A_CORE * (os.cpu_count() or 1),
    )
    print(
        f"{facts.num_images} images, shorter side {facts.shorter_side_px} px; {facts.num_devices} device(s) of ", end=""
    )
    print(f"{gib:.1f} GiB, {'GPU' if gpus else 'CPU'}; {facts.minutes:g} minutes", flush=True)

    choices = _with_distortion(_with_length(facts, own), facts, source)
    for choice in choices:
        print(f"  {choice}")
    return configs.validate(rules.config_of(choices))


def _with_length(facts: Facts, own: Mapping[str, Any]) -> list[Choice]:
    """Returns the choices with a length that comes from a measured speed, unless the user has set it."""
    choices = rules.choose(facts, own)
    if "run.num_steps" in own:
        return choices
    for _ in range(_MOST_REHEARSALS):
        config = rules.config_of(choices)
        print(f"trying {config.backbone.variant} for some steps, to see how fast it is here …", flush=True)
        speed = images_per_second(config, strategy_flags.STRATEGY.value, facts.num_devices)
        again = dataclasses.replace(facts, flops_per_second=rules.speed_of(config, speed))
        choices = rules.with_speed(choices, facts, speed)
        if rules.leaves_enough_steps(rules.config_of(choices)):
            break
        choices = rules.choose(again, own)
    return choices


def _with_distortion(choices: list[Choice], facts: Facts, source: Source) -> list[Choice]:
    """Returns the choices with the strongest distortion that leaves crops of an image enough in common."""
    print("looking at what crops of an image have in common …", flush=True)
    # What the user has set may make some of them alike.
    tried = {rules.config_of(each).crops: each for each in rules.distortions(choices, facts)}
    for crops, distorted in tried.items():
        share = view_correlation(rules.config_of(distorted), source)
        print(f"  {share:.1%} with crops.brightness={crops.brightness:g} and crops.hue={crops.hue:g}", flush=True)
        if share >= rules.LEAST_COMMON_SHARE:
            break
    else:
        print(
            f"warning: even with the weakest distortion of colours that was tried, crops of an image share {share:.1%} "
            "of an untrained network's variance only, so the run may stay at the loss of chance (docs/lab/results.md)"
        )
    return rules.with_view_correlation(distorted, share)


def _host_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
