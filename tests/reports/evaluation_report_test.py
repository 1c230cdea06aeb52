"""The page of all evaluations: every number, its interval and its curve, beside what was published."""

import xml.etree.ElementTree as ElementTree

from seer_tf.reports.charts import interval_bars
from seer_tf.reports.evaluation_report import Group, Row, write_evaluation_report


def _row(name: str, value: float, interval: tuple[float, float] | None = None, curve: tuple[float, ...] = ()) -> Row:
    return Row(name, (name, "x < y", f"{value}"), value, interval, curve)


def test_the_page_has_every_number_and_fetches_nothing(tmp_path):
    """A group with a curve and a published number, and one without."""
    one = Group("linear_probe on A", "top-1", [_row("ours", 47.25, (45, 49), (30, 47)), _row("theirs", 77.51)])
    other = Group("knn on B", "top-1", [_row("ours again", 42.6, (41, 44))])
    write_evaluation_report(
        [one, other],
        [("a", "b")],
        tmp_path / "page.html",
        header=("name", "protocol", "%"),
        published_header=("c", "d"),
    )
    page = (tmp_path / "page.html").read_text("utf-8")
    assert all(text in page for text in ("47.25", "77.51", "42.6", "knn on B", "x &lt; y", "held-out top-1, %"))
    assert page.count("<svg") == 3
    assert "src=" not in page and "@import" not in page


def test_runs_of_one_name_have_a_curve_each():
    """In two directories, say."""
    group = Group("knn on A", "top-1", [_row("RUN", 2.0, (1, 3), (1, 2)), _row("RUN", 3.0, (2, 4), (2, 3))])
    assert ">RUN<" in group.curves and ">RUN (row 2)<" in group.curves


def test_bars_are_as_long_as_their_values():
    """Twice the value, twice the length; the chart takes the page's colours."""
    svg = interval_bars([("a", 20.0, (18.0, 23.0)), ("b", 40.0, (39.0, 41.0))], x_label="top-1, %")
    assert "#070809" not in svg and "var(--accent)" in svg
    bars = [
        path.get("d", "")
        for path in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
        if "var(--accent)" in path.get("style", "")
    ]
    widths = []
    for bar in bars:
        places = [float(word) for word in bar.split() if word[0].isdigit()]
        widths.append(max(places[::2]) - min(places[::2]))
    assert len(widths) == 2 and abs(widths[1] / widths[0] - 2.0) < 0.01
