"""The images of a source that can be used: what cannot be decoded is left out, counted and named.

Training replaces a bad image while it goes on. An evaluation counts each image, so it must know before which ones
there are.
"""

import numpy as np
from absl import logging

from seer_tf import parallel
from seer_tf.data.images import acceptance
from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.selection import Selection
from seer_tf.errors import InputError, printable
from seer_tf.progress import Progress
from seer_tf.quantities import counted

_NUM_NAMED = 5


def usable(source: Source) -> Source:
    """Returns the images that decode, as `usable_numbers` finds them; the source itself if all of them do.

    Raises:
        InputError: None of the images can be used.
    """
    numbers = usable_numbers(source)
    return source if len(numbers) == source.num_images else Selection(source, numbers)


def usable_numbers(source: Source) -> np.ndarray:
    """Returns the numbers of the images that decode, int64 [n] in rising order; a warning counts and names the others.

    Every image is decoded once, except for shards, whose images were decoded when the shards were made.

    Raises:
        InputError: None of the images can be used.
    """
    if source.is_verified:
        return np.arange(source.num_images)
    kept, bad = [], []
    with Progress(source.num_images, "image", "looking into the images") as progress:
        reasons = parallel.in_order(
            lambda number: _reason(source, number), range(source.num_images), parallel.num_cores()
        )
        for number, reason in enumerate(reasons):
            if reason is None:
                kept.append(number)
            else:
                bad.append(f"{source.ids[number]}: {reason}")
            progress.advance()
    named = printable("; ".join(bad[:_NUM_NAMED]) + ("; ..." if len(bad) > _NUM_NAMED else ""))
    if not kept:
        raise InputError(f"none of {counted(source.num_images, 'image')} can be used ({named})")
    if bad:
        logging.warning("%d of %s left out (%s)", len(bad), counted(source.num_images, "image"), named)
    return np.array(kept, np.int64)


def _reason(source: Source, number: int) -> str | None:
    """Returns why an image cannot be used, in a few words; None for a good image."""
    try:
        return acceptance.reject_reason(source.read(number))
    except UnusableImageError as error:
        return str(error)
