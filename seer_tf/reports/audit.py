"""The audit of prepared images as a page: numbers, a contact sheet, near-duplicates and rejected files."""

import os

import numpy as np

from seer_tf.data.images import acceptance
from seer_tf.data.shards import ledger
from seer_tf.data.shards.audit import Audit
from seer_tf.data.sources import shards
from seer_tf.files import storage
from seer_tf.quantities import counted
from seer_tf.reports.page import render_page
from seer_tf.reports.pictures import data_uri

_NUM_PICTURES = 60
_NUM_REJECTED = 100
_PICTURE_PX = 144


def write_audit(audit: Audit, directory: str, path: str) -> None:
    """Writes the page about finished shards, completely or not at all. The page is the same wherever the shards lie.

    Args:
        audit: The numbers.
        directory: Directory of the shards.
        path: Path of the HTML file; an existing file is replaced.
    """
    source = shards.open_shards(directory)
    chosen = np.linspace(0, source.num_images - 1, min(_NUM_PICTURES, source.num_images)).astype(int)
    rejected = ledger.parse(storage.read(os.path.join(directory, shards.REJECTED)).decode())[1:]
    page = render_page(
        "audit.html.jinja2",
        title=counted(audit.num_images, "image"),
        audit=audit,
        pictures=[_picture(source, int(number)) for number in chosen],
        groups=[[_picture(source, number) for number in group] for group in audit.duplicate_examples],
        rejected=rejected[:_NUM_REJECTED],
    )
    storage.write(path, page.encode(errors="backslashreplace"))  # file names may be invalid UTF-8


def _picture(source: shards.ShardsSource, number: int) -> tuple[str, str]:
    """Returns the name of an image, and a small version of the image as a data URI."""
    return source.ids[number], data_uri(acceptance.upright(source.read(number)), longest_side_px=_PICTURE_PX)
