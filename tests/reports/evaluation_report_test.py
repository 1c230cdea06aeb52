"""The page of all evaluations has every result with its interval and curve, beside published results."""

import re

from seer_tf.reports.evaluation_report import Group, Row, write_evaluation_report
from tests.reports.page_reader import read_page


def _row(name: str, value: float, interval: tuple[float, float] | None = None, curve: tuple[float, ...] = ()) -> Row:
    return Row(name, "x < y", value, interval, curve)


def test_the_page_has_every_number_and_fetches_nothing(tmp_path):
    """One group has a curve and a published result, and one group has neither.

    All values have one decimal, and the length of a bar is its value.
    """
    one = Group("probe on A", "top-1.", [_row("ours", 0.4726, (0.45, 0.49), (0.3, 0.47)), _row("theirs", 0.84)])
    other = Group("k-NN on B", "top-1.", [_row("ours again", 0.42, (0.41, 0.44))])
    write_evaluation_report([one, other], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    reader = read_page(page)
    for text in ("probe on A", "k-NN on B", "x < y", "45.0 to 49.0", "published", "held-out top-1, %"):
        assert text in reader.text
    assert re.findall(r"[0-9.]+ %", reader.text)[2:] == ["47.3 %", "84.0 %", "42.0 %"]
    assert re.findall(r'<i style="width: ([0-9.]+)%', page) == ["47.3", "84.0", "42.0"]
    assert re.findall(r'<b style="left: ([0-9.]+)%; width: ([0-9.]+)%', page) == [("45.0", "4.0"), ("41.0", "3.0")]
    assert page.count("<svg") == 1
    assert not reader.links or all(link.startswith("#") for link in reader.links)


def test_runs_with_the_same_name_have_separate_curves():
    """The runs may be in two directories."""
    group = Group("k-NN on A", "", [_row("RUN", 0.2, (0.1, 0.3), (0.1, 0.2)), _row("RUN", 0.3, (0.2, 0.4), (0.2, 0.3))])
    assert ">RUN<" in group.curves and ">RUN (row 2)<" in group.curves
