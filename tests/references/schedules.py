"""Learning rates of a whole run in NumPy, as SwAV's script and fvcore's schedulers make them."""

import numpy as np


def swav_cosine(num_steps: int, warmup_steps: int, start: float, peak: float, final: float) -> np.ndarray:
    """Returns the rates as main_swav.py lists them: a linspace, and a cosine of its own."""
    warmup = np.linspace(start, peak, warmup_steps)
    rest = np.arange(num_steps - warmup_steps)
    cosine = final + 0.5 * (peak - final) * (1 + np.cos(np.pi * rest / (num_steps - warmup_steps)))
    return np.concatenate([warmup, cosine])


def vissl_cosine(num_steps: int, warmup_steps: int, start: float, peak: float, final: float) -> np.ndarray:
    """Returns the rates of a composite schedule whose warm-up is rescaled to its interval and whose cosine is not."""
    where = np.arange(num_steps) / num_steps
    length = warmup_steps / num_steps
    warmup = start + (peak - start) * where[:warmup_steps] / (length or 1)
    cosine = final + 0.5 * (peak - final) * (1 + np.cos(np.pi * where[warmup_steps:]))
    return np.concatenate([warmup, cosine])
