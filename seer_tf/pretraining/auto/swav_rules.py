"""The rules of recipe `auto` for SwAV. "Measured" refers to docs/lab/results.md; papers are cited in `recipes.py`."""

import dataclasses
import math

from seer_tf.config import Config, PretrainingConfig
from seer_tf.pretraining.auto.choices import Choice, Choices, Facts
from seer_tf.pretraining.auto.method_rules import (
    COLOURS,
    KEEPS_COLOUR,
    LEAST_COLOUR_SHARE,
    MANY_IMAGES,
    SMALL_PX,
    coloured,
)
from seer_tf.quantities import percent

#: Smallest share of the variance of an untrained network's embeddings that two crops of an image must have in common.
LEAST_VIEW_CORRELATION = 0.03
_SHORT_RATE, _RATE_STEPS = 2.0, 8000  # for 4,000 steps the best peak learning rate was 2; 3 has ruined runs


class SwavRules:
    """The `MethodRules` of SwAV."""

    kind: type[PretrainingConfig] = Config
    batch = 64
    batch_source = "measured; SwAV and SEER have 16 to 64"
    has_view_correlation = True

    def objective(self, choices: Choices, facts: Facts) -> Choices:
        """Returns the choices with prototypes, head, queue and loss."""
        choices = choices.added(_prototypes(facts))
        return choices.added([_queue(facts, choices.config), *_LOSS])

    def crops(self, side: int, num_images: int) -> list[Choice]:
        """Returns multi-crop."""
        small = max(16, round(side * 96 / 224 / 16) * 16)
        choices = [
            Choice("crops.num", (2, 4), "SEER, 3.2"),
            Choice("crops.sizes_px", (side, small), "no larger than the images; in the ratio of 224 to 96 px (SwAV)"),
        ]
        if side >= SMALL_PX and num_images >= MANY_IMAGES:
            return [
                *choices,
                Choice("crops.min_area_fractions", (0.14, 0.05), "SwAV, appendix A; SEER the same"),
                Choice("crops.max_area_fractions", (1.0, 0.14), "the same"),
            ]
        return [
            *choices,
            Choice(
                "crops.min_area_fractions",
                (0.4, 0.12),
                "larger parts than SwAV's for small or few images: measured for crops of 32 and 64 px; our rule for "
                "others",
            ),
            Choice("crops.max_area_fractions", (1.0, 0.4), "the same"),
            Choice("crops.blur_probability", 0.0, "the same"),
        ]

    def peak(self, steps: int, batch: int) -> Choice:
        """Returns the peak learning rate."""
        return Choice(
            "schedule.peak_learning_rate",
            max(0.3 * batch / 256, min(_SHORT_RATE, _RATE_STEPS / steps)),
            "2.0 up to 4,000 steps (measured; 3.0 has ruined runs), then 8,000 / steps by our rule, and at least "
            "SwAV's 0.3 for every 256 images",
        )

    def warmup_steps(self, steps: int) -> Choice:
        """Returns the length of the warm-up."""
        return Choice(
            "schedule.warmup_steps",
            max(1, min(steps * 2 // 7, 8000, max(200, steps // 40))),
            "a fortieth of the run, from 200 to 8,000 steps (SEER's), but two sevenths of the run at most; runs with "
            "shorter ones have stayed on a plateau (measured)",
        )

    def of_length(self, choices: Choices, facts: Facts) -> list[Choice]:
        """Returns the final learning rate, the frozen steps of the prototypes, and the start of the queue."""
        config = choices.config
        steps, batch = config.run.num_steps, config.data.global_batch_size
        frozen = max(1, min(313, facts.num_images // batch, steps // 12))
        final = rounded(config.schedule.peak_learning_rate / 1000)
        length = [
            Choice("swav.freeze_prototypes_steps", frozen, "an epoch, but at most SwAV's 313 and a twelfth of the run"),
            Choice("schedule.final_learning_rate", final, "a thousandth of the peak (SwAV)"),
        ]
        if config.swav.queue_length:
            reason = "after 7.5 % of the run, like 15 of 200 epochs in SwAV"
            length.append(Choice("swav.queue_start_step", steps * 3 // 40, reason))
        return length

    def distortions(self, choices: Choices, facts: Facts, colour_share: float = 0.0) -> list[Choices]:
        """Returns the choices with each distortion; `with_view_correlation` adds the reason for the chosen one."""
        full, half = (0.8, 0.8, 0.8, 0.2, 0.2), (0.4, 0.4, 0.4, 0.2, 0.2)
        ladder = [full, half, (0.2, 0.2, 0.2, 0.05, 0.05), (0.0, 0.0, 0.0, 0.0, 0.0)]
        ladder = ladder[ladder.index(full if facts.num_images >= MANY_IMAGES else half) :]
        if colour_share >= LEAST_COLOUR_SHARE:
            ladder = [KEEPS_COLOUR, ladder[-1]]
        return [coloured(choices, values, "the same") for values in ladder]


def with_view_correlation(choices: Choices, share: float, colour_share: float = 0.0) -> Choices:
    """Returns the choices with the reason for their distortion of colour.

    Args:
        choices: Choices of all fields.
        share: Measured view correlation.
        colour_share: As for `MethodRules.distortions`.
    """
    reason = (
        f"the strongest distortion with which two crops share {percent(LEAST_VIEW_CORRELATION, 0)} or more of an "
        f"untrained network's variance, here {percent(share)}; with less, runs stayed at the loss of chance (measured)"
        if share >= LEAST_VIEW_CORRELATION
        else f"the weakest distortion; two crops still share only {percent(share)} of an untrained network's variance"
    )
    if colour_share >= LEAST_COLOUR_SHARE:
        reason = f"a weak distortion, because colour tells the classes apart; two crops share {percent(share)}"
    free = [choice.field for choice in choices if choice.field in COLOURS and not choice.is_own]
    made = [dataclasses.replace(each, reason=reason) if each.field in free[:1] else each for each in choices]
    return Choices(choices.kind, tuple(made))


def rounded(rate: float) -> float:
    """Returns a learning rate rounded to three significant digits."""
    return round(rate, 2 - math.floor(math.log10(rate))) if rate else 0.0


_LOSS = (
    Choice(
        "swav.epsilon",
        0.02,
        "scores grow if crops share more than epsilon / temperature of the scores' variance (measured)",
    ),
    Choice("swav.temperature", 0.1, "SwAV, appendix A; SEER the same"),
    Choice("swav.sinkhorn_iterations", 3, "SwAV, appendix A"),
    Choice("optimizer.weight_decay", 1e-6, "SwAV, appendix A"),
)


def _prototypes(facts: Facts) -> list[Choice]:
    number = min(16_000, max(10, round(100 * (facts.num_images / 10_000) ** 0.7)))
    choices = [
        Choice(
            "head.num_prototypes",
            number,
            "100 x (images / 10,000)^0.7, from 10 to 16,000: 100 for 10,000 images (measured), 3,000 for ImageNet "
            "(SwAV), 16,000 for a billion (SEER); the curve is ours",
        )
    ]
    large = number >= 3000
    hidden, embedding = ((2048,), 128) if large else ((512,), 64)
    choices.append(Choice("head.hidden_dims", hidden, "SwAV's head" if large else "measured with few prototypes"))
    choices.append(Choice("head.embedding_dim", embedding, "the same"))
    return choices


def _queue(facts: Facts, config: Config) -> Choice:
    number, batch = config.head.num_prototypes, config.data.global_batch_size
    if 2 * batch >= number:
        return Choice("swav.queue_length", 0, "a step with half as many images as prototypes needs no queue (measured)")
    length = min(math.ceil(number / batch), facts.num_images // (2 * batch)) * batch
    reason = "batch and queue together hold as many images as there are prototypes (SwAV, 4.3)"
    return Choice("swav.queue_length", length, reason)
