"""The sheet of nearest neighbours shows every image, and marks right and wrong classes if there are classes."""

import numpy as np

from seer_tf.reports.neighbour_sheet import SheetImage, SheetRow, write_neighbour_sheet
from tests.reports.page_reader import read_page


def _image(name: str, class_name: str = "", similarity: float = 1.0) -> SheetImage:
    pixels = np.random.default_rng(len(name)).integers(0, 256, [40, 60, 3], np.uint8)
    return SheetImage(name, pixels, class_name, similarity)


def test_neighbours_are_marked_by_the_class_of_the_query(tmp_path):
    """One neighbour is right, and one is wrong. Names are escaped, and the page fetches nothing."""
    row = SheetRow(_image("<q>", "cat"), [_image("a", "cat", 0.91), _image("b", "dog", 0.5)])
    write_neighbour_sheet([row], tmp_path / "sheet.html", title="a & b", summary="Of two.")
    page = (tmp_path / "sheet.html").read_text("utf-8")
    assert page.count("data:image/jpeg") == 3 and "http" not in page
    assert page.count('class="right small"') == page.count('class="wrong small"') == 1
    assert "&lt;q&gt;" in page and "a &amp; b" in page and "0.910 cat" in page
    text = " ".join(read_page(page).text.split())
    assert "the query's class another class" in text and "untrained" not in text


def test_the_untrained_network_has_its_own_column(tmp_path):
    row = SheetRow(_image("q", "cat"), [_image("a", "cat", 0.91)], [_image("b", "dog", 0.99), _image("c", "cat", 0.98)])
    write_neighbour_sheet([row], tmp_path / "sheet.html", title="T", summary="")
    page = read_page((tmp_path / "sheet.html").read_text("utf-8"))
    assert [image["title"] for image in page.images] == ["q", "a", "b", "c"]
    assert page.text.index("trained network") < page.text.index("0.910") < page.text.index("untrained network")


def test_without_classes_nothing_is_marked(tmp_path):
    """The images are photographs without classes."""
    row = SheetRow(_image("q"), [_image("a", similarity=0.7)])
    write_neighbour_sheet([row], tmp_path / "sheet.html", title="photos", summary="")
    page = (tmp_path / "sheet.html").read_text("utf-8")
    assert "class" not in read_page(page).text and 'class="right' not in page and 'class="wrong' not in page
