"""Curves from event files and from lines, the band of reference runs, and the comparison page."""

import json
import math
import pathlib
import re

import numpy as np
import pytest

from seer_tf import config as configs
from seer_tf.errors import InputError
from seer_tf.pretraining.recipes import recipe
from seer_tf.reports.curves import read_curves
from seer_tf.reports.reference_band import band, judge, read_references
from seer_tf.reports.run_comparison import ComparedRun, chart, config_differences, render, shown_numbers
from seer_tf.training.retries import Retry
from seer_tf.training.tensorboard import Summaries

LOSS = "loss/relative_to_ln_K"


def write_lines(file: pathlib.Path, curve: dict[int, float]) -> pathlib.Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps({"step": step, LOSS: value}) + "\n" for step, value in curve.items()))
    return file


def test_lines_and_events_give_the_same_curves(tmp_path: pathlib.Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", {10: 0.9, 20: 0.8, 15: 0.85})
    with file.open("a") as lines:
        lines.write('{"step": 20, "loss/relative_to_ln_K": 0.75}\n')  # a repeated step
        # The run was killed in this line.
        lines.write('{"step": 30, "loss/relative_to_ln_K": null}\n{"step": 40, "loss/re')
    summaries = Summaries(tmp_path / "run" / "tensorboard", recipe("debug_tiny"))
    for step, value in ((10, 0.9), (20, 0.8), (15, 0.85), (20, 0.75)):
        summaries.numbers(step, {LOSS: value})
    for place in (file, tmp_path / "run"):
        curves = read_curves(place)
        assert list(curves) == [LOSS]
        assert list(curves[LOSS]) == [10, 15, 20]
        np.testing.assert_allclose(list(curves[LOSS].values()), [0.9, 0.85, 0.75], rtol=1e-6)


def test_a_path_without_a_log_gets_one_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "notes.txt").write_text("no numbers")
    for place in (tmp_path, tmp_path / "notes.txt", tmp_path / "nowhere"):
        with pytest.raises(InputError, match="has no log of a run|there is no file or directory"):
            read_curves(place)


def test_a_run_is_inside_the_band_or_not(tmp_path: pathlib.Path) -> None:
    for seed, end in enumerate((0.7, 0.8)):
        write_lines(tmp_path / "small" / f"seed-{seed}.jsonl", {10: 1.0, 20: end, 30: end})
    references = read_references(tmp_path, "small")
    assert band(references, LOSS)[20] == pytest.approx((0.6, 0.9))  # the width of the references again on each side
    assert band(references, LOSS)[10] == pytest.approx((0.97, 1.03))  # the references agree by chance
    (inside,) = judge({LOSS: {10: 1.01, 20: 0.61, 25: 9.0}}, references)
    assert (inside.num_inside, inside.num_steps, inside.is_inside, inside.first_outside) == (2, 2, True, None)
    (outside,) = judge({LOSS: {10: 1.01, 20: 0.95, 30: 0.8}}, references)
    assert not outside.is_inside
    assert outside.first_outside == pytest.approx((20, 0.95, 0.6, 0.9))
    with pytest.raises(InputError, match="no step in common"):
        judge({LOSS: {7: 1.0}}, references)
    with pytest.raises(InputError, match="did you mean 'small'"):
        read_references(tmp_path, "smal")


def test_the_page_shows_differences_curves_and_verdicts() -> None:
    config = recipe("debug_tiny")
    runs = [
        ComparedRun("first <run>", {LOSS: {1: 1.0, 2: 0.5}, "probe/knn_top1": {2: 0.4}}, config),
        ComparedRun("second", {LOSS: {1: 1.0, 2: 0.9}}, configs.override(config, ["swav.epsilon=0.03", "run.seed=4"])),
        ComparedRun("numbers only", {LOSS: {1: 1.0, 2: 0.8}}, None),
    ]
    assert config_differences(runs) == [("run.seed", ["0", "4", "?"]), ("swav.epsilon", ["0.05", "0.03", "?"])]
    references = [{LOSS: {1: 1.0, 2: 0.5}}]
    page = render(runs, references, judge(runs[0].curves, references), "small")
    assert "first &lt;run&gt;" in page
    assert "band of 1 reference run of small" in page
    assert "<td>swav.epsilon</td><td>0.05</td><td>0.03</td><td>?</td>" in page
    assert page.count('<div class="card"><svg') == 2
    assert "relative to ln K</text>" in page
    assert "2 of 2" in page
    assert "<script" not in page
    assert "There are none" in render(runs[:1])
    assert "Unknown" in render(runs[2:])
    assert page == render(runs, references, judge(runs[0].curves, references), "small")


def test_a_chart_has_labelled_axes_and_shows_only_possible_values() -> None:
    """A share is in percent from 0 to 100. A band with one step has an area too."""
    share = "prototypes/share_in_use"
    references = [{share: {10: 1.0, 20: 1.0}}, {share: {10: 0.9, 20: 0.4}}]
    assert band(references, share) == {10: pytest.approx((0.8, 1.0)), 20: (0.0, 1.0)}
    svg = chart(share, [ComparedRun("a", {share: {10: 0.995, 20: 1.0}}, None)], references)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"step", "%", "share in use", "100"} <= set(texts)
    assert all(0 <= float(text) <= 100 for text in texts if text[0].isdigit())
    svg = chart(
        "features/rank_me",
        [ComparedRun("a", {"features/rank_me": {10: 40.0}}, None)],
        [{"features/rank_me": {10: 1.0}}],
    )
    assert "dimensions</text>" in svg
    assert "LineCollection_1" in svg


def test_each_curve_is_shown_once_and_the_most_important_first() -> None:
    names = ("training/learning_rate", "loss/loss", LOSS, "system/seconds_per_step", "system/images_per_second")
    curves = {name: {1: 1.0} for name in names} | {"memory": {1: math.nan}}
    assert shown_numbers([ComparedRun("a", curves, None)]) == [LOSS, names[4], names[0]]
    assert shown_numbers([ComparedRun("fine-tuned", {"loss/loss": {1: 1.0}}, None)]) == ["loss/loss"]


def test_retries_and_conclusions_are_on_the_page() -> None:
    retry = Retry(8, "the run stays on a plateau (RankMe is 30)", {"schedule.peak_learning_rate": "1.0"})
    curves = {LOSS: {10: 0.9}}
    page = render(
        [ComparedRun("one", curves, None), ComparedRun("two", curves, None, [retry], "The network beats simple pixels")]
    )
    assert f"<li>two: {retry}</li>" in page
    assert "<li>two: The network beats simple pixels</li>" in page
    assert "<h2>Retries</h2>" not in render([ComparedRun("one", curves, None)])


def test_a_chart_of_negative_numbers_has_an_axis_below_zero() -> None:
    ticks = re.compile(r">(−?[\d.]+)</text>")
    negative = chart(
        "views/uniformity", [ComparedRun("one", {"views/uniformity": {1: -0.5, 2: -1.5, 3: -0.4}}, None)], ()
    )
    assert "−1.0" in ticks.findall(negative)
    positive = chart(LOSS, [ComparedRun("one", {LOSS: {1: 0.01, 2: 0.9}}, None)], ())
    assert not any(tick.startswith("−") for tick in ticks.findall(positive))
