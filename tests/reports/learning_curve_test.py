"""The learning curve is read from the files of a run and drawn in the page's colours."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import tensorflow as tf

from seer_tf.methods.swav import metrics
from seer_tf.pretraining.recipes import recipe
from seer_tf.reports.learning_curve import RELATIVE_LOSS, learning_curve, read_scalars
from seer_tf.training.tensorboard import Summaries


def test_a_continued_run_has_one_curve(tmp_path: Path) -> None:
    """The run has two event files. For a repeated step, the later value counts."""
    for number, values in enumerate([{10: 4.0, 20: 3.0, 30: 9.0}, {30: 2.5, 40: 2.0}]):
        with tf.summary.create_file_writer(str(tmp_path), filename_suffix=f".{number}").as_default():
            for step, value in values.items():
                tf.summary.scalar("loss", value, step=step)
                tf.summary.scalar("other", -1.0, step=step)
    assert read_scalars(tmp_path, "loss") == [(10, 4.0), (20, 3.0), (30, 2.5), (40, 2.0)]
    assert read_scalars(tmp_path, "absent") == []


def test_every_step_of_a_long_run_is_read(tmp_path: Path) -> None:
    """TensorBoard's reader keeps only a sample of ten or a thousand steps by default."""
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        for step in range(1500):
            tf.summary.scalar("loss", step / 7, step=step)
    assert len(read_scalars(tmp_path, "loss")) == 1500


def test_runs_write_the_tag_that_the_curve_reads(tmp_path: Path) -> None:
    """The test fails if training renames the tag."""
    Summaries(tmp_path, recipe("debug_tiny")).numbers(5, {metrics.RELATIVE_LOSS: 0.5})
    assert read_scalars(tmp_path, RELATIVE_LOSS) == [(5, 0.5)]


def test_the_chart_is_svg_in_the_pages_colours():
    """The SVG is well-formed and deterministic, and its labels are text."""
    points = [(0, 1.0), (50, 0.8), (100, 0.7)]
    svg = learning_curve(points, x_label="step", y_label="loss / ln K")
    ElementTree.fromstring(svg)
    assert "loss / ln K</text>" in svg and "var(--accent)" in svg
    assert "#010203" not in svg and "#040506" not in svg and "#070809" not in svg
    assert svg == learning_curve(points, x_label="step", y_label="loss / ln K")
