"""The sheet of predictions shows every box at its place, in pixels of the image."""

import re

import numpy as np

from seer_tf.reports.prediction_sheet import Box, PredictedImage, write_prediction_sheet
from tests.reports.page_reader import read_page


def test_the_sheet_shows_annotated_and_predicted_boxes(tmp_path):
    """Boxes have a class and a confidence. Names are text, not markup."""
    pixels = np.random.default_rng(0).integers(0, 256, [30, 40, 3], np.uint8)
    found = [Box((1.0, 2.0, 11.0, 22.0), "<cat>", 0.875)]
    there = [Box((1.5, 2.5, 12.0, 20.0), "<cat>"), Box((20.0, 5.0, 39.0, 29.0), "dog")]
    path = tmp_path / "predictions.html"
    write_prediction_sheet([PredictedImage("a&b.jpg", pixels, found, there)], path, title="T", summary="mAP50 0.5.")
    page = path.read_text("utf-8")
    reader = read_page(page)
    assert len(reader.images) == 1 and all(link.startswith("data:image/jpeg;base64,") for link in reader.links)
    rectangles = re.findall(r'<rect class="(\w+)" x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)">', page)
    assert rectangles == [
        ("there", "1.5", "2.5", "10.5", "17.5"),
        ("there", "20.0", "5.0", "19.0", "24.0"),
        ("found", "1.0", "2.0", "10.0", "20.0"),
    ]
    assert 'viewBox="0 0 40 30"' in page
    for text in ("<cat> 0.88", "dog", "a&b.jpg: 1 detected, 2 true", "mAP50 0.5."):
        assert text in reader.text
