"""The rules of recipe `auto` for SimCLR, MoCo and BYOL.

For small sets they are those of the recipes for small images, and for large sets those of the papers; the recipes in
`seer_tf/methods/` cite both. Rules between the two are our own, and their reasons say so.
"""

from seer_tf.config import PretrainingConfig
from seer_tf.methods.byol.config import ByolConfig
from seer_tf.methods.moco.config import MocoConfig
from seer_tf.methods.simclr.config import SimclrConfig
from seer_tf.pretraining.auto.choices import Choice, Choices, Facts
from seer_tf.pretraining.auto.method_rules import KEEPS_COLOUR, LEAST_COLOUR_SHARE, MANY_IMAGES, SMALL_PX, coloured

_SHORT_RATE, _RATE_STEPS = 2.0, 8000  # SwAV's, which has LARS too
_AVERAGED_SHARE = 0.025  # of the run, over which a momentum encoder averages


class _ViewRules:
    """What the three methods have in common."""

    batch = 128
    batch_source = "that of the recipes for small images"
    has_view_correlation = False
    large_hidden_dim, large_embedding_dim = 2048, 128
    small_jitter = large_jitter = (0.4, 0.4, 0.4, 0.1, 0.2)
    least_area = 0.08

    def crops(self, side: int, num_images: int) -> list[Choice]:
        """Returns two views."""
        is_small = side < SMALL_PX or num_images < MANY_IMAGES
        least, why = (0.2, "that of the recipes for small images") if is_small else (self.least_area, "the paper")
        choices = [
            Choice("crops.num", (2,), "the method compares two views"),
            Choice("crops.sizes_px", (side,), "no larger than the images"),
            Choice("crops.min_area_fractions", (least,), why),
            Choice("crops.max_area_fractions", (1.0,), "the paper"),
        ]
        return [*choices, Choice("crops.blur_probability", 0.0, "a blur erases small images")] if is_small else choices

    def distortions(self, choices: Choices, facts: Facts, colour_share: float = 0.0) -> list[Choices]:
        """Returns the choices with the paper's distortion, or with a weak one if colour tells the classes apart."""
        if colour_share >= LEAST_COLOUR_SHARE:
            reason = "a weak distortion, because colour tells the classes apart"
            return [coloured(choices, KEEPS_COLOUR, reason)]
        if facts.num_images >= MANY_IMAGES:
            return [coloured(choices, self.large_jitter, "the paper")]
        return [coloured(choices, self.small_jitter, "that of the recipes for small images")]

    def warmup_steps(self, steps: int) -> Choice:
        """Returns the length of the warm-up."""
        warmup = max(1, min(steps // 12, 8000, max(50, steps // 40)))
        reason = "a fortieth of the run, from 50 to 8,000 (measured; SEER has 8,000)"
        return Choice("schedule.warmup_steps", warmup, reason)

    def _head(self, facts: Facts) -> list[Choice]:
        large = facts.num_images >= MANY_IMAGES
        hidden, embedding = (self.large_hidden_dim, self.large_embedding_dim) if large else (512, 64)
        why = "the paper's head" if large else "that of the recipes for small images"
        return [
            Choice("head.hidden_dims", (hidden,), why),
            Choice("head.embedding_dim", embedding, "the same"),
        ]


class SimclrRules(_ViewRules):
    """The `MethodRules` of SimCLR."""

    kind: type[PretrainingConfig] = SimclrConfig
    large_jitter = (0.8, 0.8, 0.8, 0.2, 0.2)

    def objective(self, choices: Choices, facts: Facts) -> Choices:
        """Returns the choices with head and loss."""
        temperature, why = (0.1, "table 5") if facts.num_images >= MANY_IMAGES else (0.5, "appendix B.9, for CIFAR-10")
        return choices.added(
            [
                *self._head(facts),
                Choice("simclr.temperature", temperature, f"SimCLR, {why}"),
                Choice("optimizer.weight_decay", 1e-6, "SimCLR, 2.3"),
            ]
        )

    def peak(self, steps: int, batch: int) -> Choice:
        """Returns the peak learning rate."""
        return Choice(
            "schedule.peak_learning_rate", 0.075 * batch**0.5, "0.075 times the root of the batch (SimCLR, B.1)"
        )

    def of_length(self, choices: Choices, facts: Facts) -> list[Choice]:
        """Returns nothing more."""
        return []


class MocoRules(_ViewRules):
    """The `MethodRules` of MoCo v2."""

    kind: type[PretrainingConfig] = MocoConfig
    least_area = 0.2

    def objective(self, choices: Choices, facts: Facts) -> Choices:
        """Returns the choices with head, queue and loss."""
        large, batch = facts.num_images >= MANY_IMAGES, choices.config.data.global_batch_size
        most = 65_536 if large else 4096
        steps = max(1, min(most, facts.num_images // 2) // batch)
        why = "MoCo v2" if large else "MoCo's notebook for CIFAR-10"
        return choices.added(
            [
                *self._head(facts),
                Choice("moco.queue_length", steps * batch, f"whole steps, up to {most:,} keys and half of the images"),
                Choice("moco.temperature", 0.2 if large else 0.1, why),
                Choice("optimizer.weight_decay", 1e-4 if large else 5e-4, why),
            ]
        )

    def peak(self, steps: int, batch: int) -> Choice:
        """Returns the peak learning rate."""
        return Choice(
            "schedule.peak_learning_rate",
            max(0.03 * batch / 256, min(0.06 * batch / 128, 0.06 * _RATE_STEPS / steps)),
            "0.06 for every 128 images, the recipe for small images, then falling with the length by our rule, and at "
            "least MoCo's 0.03 for every 256",
        )

    def of_length(self, choices: Choices, facts: Facts) -> list[Choice]:
        """Returns the momentum of the key encoder. With 0.95, all queries of a short run became alike (measured)."""
        return [_momentum("moco.momentum", choices, least=0.99, most=0.999)]


class ByolRules(_ViewRules):
    """The `MethodRules` of BYOL."""

    kind: type[PretrainingConfig] = ByolConfig
    large_hidden_dim, large_embedding_dim = 4096, 256
    small_jitter = large_jitter = (0.4, 0.4, 0.2, 0.1, 0.2)

    def objective(self, choices: Choices, facts: Facts) -> Choices:
        """Returns the choices with head, predictor and weight decay."""
        choices = choices.added(self._head(facts))
        hidden = choices.config.head.hidden_dims[-1:] or (512,)
        return choices.added(
            [
                Choice("byol.predictor_dims", hidden, "as wide as the head (BYOL, 3.3)"),
                Choice("optimizer.weight_decay", 1.5e-6, "BYOL, 3.3"),
            ]
        )

    def crops(self, side: int, num_images: int) -> list[Choice]:
        """Returns two views with different distortions."""
        choices, reason = super().crops(side, num_images), "BYOL, appendix B, table 6"
        choices.append(Choice("crops.view_solarize_probabilities", (0.0, 0.2), reason))
        if all(choice.field != "crops.blur_probability" for choice in choices):
            choices.append(Choice("crops.view_blur_probabilities", (1.0, 0.1), reason))
        return choices

    def peak(self, steps: int, batch: int) -> Choice:
        """Returns the peak learning rate."""
        return Choice(
            "schedule.peak_learning_rate",
            max(0.2 * batch / 256, min(_SHORT_RATE, _RATE_STEPS / steps)),
            "2.0 up to 4,000 steps as for SwAV, then 8,000 / steps by our rule, and at least BYOL's 0.2 for every 256 "
            "images",
        )

    def of_length(self, choices: Choices, facts: Facts) -> list[Choice]:
        """Returns the momentum of the target network."""
        return [_momentum("byol.momentum", choices, least=0.9, most=0.996)]


def _momentum(field: str, choices: Choices, *, least: float, most: float) -> Choice:
    steps = choices.config.run.num_steps
    value = round(min(most, max(least, 1 - 1 / (_AVERAGED_SHARE * steps))), 4)
    return Choice(field, value, f"an average over a fortieth of the run (our rule), from {least} to the paper's {most}")
