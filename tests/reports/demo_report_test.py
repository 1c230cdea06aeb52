"""The page of the demo is complete, needs no other file, and shows its data."""

import re
from pathlib import Path

import numpy as np
import pytest

from seer_tf.reports.demo_report import (
    Accuracy,
    DemoReport,
    Neighbours,
    Prototype,
    render_demo_report,
    write_demo_report,
)
from seer_tf.reports.image_map import placed
from tests.reports.page_reader import read_page


def _images(num_images: int, side_px: int = 16) -> list[np.ndarray]:
    return list(np.random.default_rng(num_images).integers(0, 256, [num_images, side_px, side_px, 3], np.uint8))


def _report(*, labelled: bool) -> DemoReport:
    query, *others = _images(7)
    labels = ("<cat> & dog", [True, False, True], [True, True, False]) if labelled else ()
    return DemoReport(
        title="A title",
        summary="What was done.",
        figures=[("loss / ln K", "0.912")],
        figures_note="What they mean.",
        learning_curve=[(10, 1.0), (20, 0.9), (30, 0.85)],
        crops=[_images(5), _images(5)],
        neighbours=[Neighbours(query, others[:3], others[3:], *labels)] * 2,
        prototypes=[Prototype(17, 0.125, _images(4))],
        map=placed(_images(3), np.array([[0.0, 0.5], [1.0, 0.0], [0.5, 1.0]]), ["a", "b", "c"]),
        accuracies=[Accuracy("ours", 0.512, 0.6), Accuracy("theirs", 0.25, 0.333)] if labelled else [],
        accuracy_note="How.",
        places=[("Report", "/some where/report.html")],
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_the_page_is_complete_and_fetches_nothing(labelled):
    """Every element is closed, and every source is in the page itself."""
    page = render_demo_report(_report(labelled=labelled))
    reader = read_page(page)
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in reader.links)
    assert not re.search(r"url\((?!#)|@import", page)
    assert len(reader.images) == 2 * 5 + 2 * (1 + 3 + 3) + 4 + 3


def test_labels_appear_in_the_table_and_in_outlines():
    """Class names are text, not markup. Each neighbour has the outline "right" or "wrong"."""
    reader = read_page(render_demo_report(_report(labelled=True)))
    assert "51.2 %" in reader.text and "33.3 %" in reader.text and "<cat> & dog" in reader.text
    outlines = [str(image["class"]).split()[0] for image in reader.images if image.get("class", " small") != " small"]
    assert outlines[:6] == ["right", "wrong", "right", "right", "right", "wrong"]


def test_without_labels_there_is_no_table():
    """The page has no outlines and does not mention classes."""
    page = render_demo_report(_report(labelled=False))
    assert 'id="accuracy"' not in page and 'class="right' not in page and "query's class" not in page
    assert "What they mean." in page
    assert "0.912" in page and "12.5 % of the images" in page


def test_the_file_is_replaced_completely(tmp_path: Path) -> None:
    """If rendering fails, the old report stays, and no other file is left."""
    path = tmp_path / "report.html"
    write_demo_report(_report(labelled=True), path)
    first = path.read_text("utf-8")
    assert first == render_demo_report(_report(labelled=True))
    with pytest.raises(AttributeError):
        write_demo_report(None, path)  # type: ignore[arg-type]
    assert path.read_text("utf-8") == first
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
