"""Evaluation results: written and read, as table rows, and with confidence intervals."""

import concurrent.futures
import dataclasses
import json

import numpy as np
import pytest
import scipy.stats

from seer_tf.errors import InputError
from seer_tf.evaluation.result import (
    HEADER,
    EvaluationResult,
    add_to_file,
    bootstrap_interval,
    mean_interval,
    read_file,
)
from tests import mutations

_OUTCOME = EvaluationResult(
    evaluation="k-NN",
    protocol="k = 20 | cosine",
    metric="top-1",
    value=0.4258,
    interval=(0.41, 0.44),
    model="RUN",
    train_data="folder:größe",
    test_data="folder:test",
    num_train_images=5000,
    num_test_images=2000,
    num_classes=10,
    seed=3,
    details={"top1": {"10": 0.4, "20": 0.4258}},
)


def test_results_are_equal_after_writing_and_reading(tmp_path):
    """The order is kept. The details are at the top level, where the card of an export finds them."""
    other = dataclasses.replace(_OUTCOME, evaluation="linear probe", train_data=None, details={})
    for outcome in (_OUTCOME, other):
        add_to_file(outcome, tmp_path / "evaluations.jsonl")
    assert read_file(tmp_path / "evaluations.jsonl") == [_OUTCOME, other]
    assert json.loads(_OUTCOME.to_json())["top1"] == {"10": 0.4, "20": 0.4258}


def test_networks_of_one_run_have_different_results(tmp_path):
    """Step and digest are in the file and in the row. Lines of earlier versions without these fields are read too."""
    for step in (3, 6):
        add_to_file(dataclasses.replace(_OUTCOME, digest=f"{step:016x}", step=step), tmp_path / "lines")
    first, second = read_file(tmp_path / "lines")
    assert (first.step, second.step, second.digest) == (3, 6, "0000000000000006")
    assert "| RUN, step 3 |" in first.to_markdown() and "| RUN, step 6 |" in second.to_markdown()
    old = {name: value for name, value in json.loads(_OUTCOME.to_json()).items() if name not in ("digest", "step")}
    (tmp_path / "old").write_text(json.dumps(old))
    assert read_file(tmp_path / "old") == [_OUTCOME]


def test_a_result_starts_on_a_new_line(tmp_path):
    """An editor may have left the last line without an end."""
    file = tmp_path / "evaluations.jsonl"
    file.write_text(_OUTCOME.to_json())
    add_to_file(_OUTCOME, file)
    assert read_file(file) == [_OUTCOME, _OUTCOME]
    assert file.read_text().endswith("}\n")


def test_evaluations_at_the_same_time_lose_nothing(tmp_path):
    """Four threads write different results. A lock belongs to an open file, so threads act like processes."""
    file = tmp_path / "evaluations.jsonl"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(add_to_file, [dataclasses.replace(_OUTCOME, seed=seed) for seed in range(400)], [file] * 400))
    assert sorted(outcome.seed for outcome in read_file(file)) == list(range(400))


def test_a_full_disk_raises_an_error():
    with pytest.raises(OSError, match="No space left"):
        add_to_file(_OUTCOME, "/dev/full")


def test_the_row_has_a_cell_for_each_column():
    """A vertical bar inside a cell does not end the cell."""
    row = _OUTCOME.to_markdown()
    assert row.replace("\\|", "").count("|") == len(HEADER) + 1
    assert "| 42.58 | 41.00 to 44.00 |" in row and "folder:größe (5,000)" in row


@pytest.mark.parametrize("text", ["no json", '{"evaluation": "k-NN"}', '["k-NN"]', "3", '"k-NN"', "null"])
def test_a_file_without_results_is_refused(tmp_path, text):
    """The line comes from another program, or the file is empty."""
    (tmp_path / "lines").write_text(text)
    with pytest.raises(InputError, match="is not a file of evaluation results"):
        read_file(tmp_path / "lines")
    with pytest.raises(InputError, match="does not exist"):
        read_file(tmp_path / "nowhere")


def test_half_a_line_loses_only_its_own_result(tmp_path, caplog):
    """A killed process leaves half a line, at the end or before other lines."""
    line = _OUTCOME.to_json()
    (tmp_path / "lines").write_text(f"{line}\n{line[:90]}\n{line}\n{line[:200]}")
    assert read_file(tmp_path / "lines") == [_OUTCOME, _OUTCOME]
    assert "line 2: " in caplog.text and "line 4: " in caplog.text and "this result is lost" in caplog.text


def test_another_digit_is_found_by_the_checksum(tmp_path):
    file = tmp_path / "lines"
    for _ in range(2):
        add_to_file(_OUTCOME, file)
    file.write_bytes(file.read_bytes().replace(b"0.4258", b"0.5258", 1))
    assert read_file(file) == [_OUTCOME]


def test_damage_to_one_line_leaves_the_others(tmp_path):
    """This holds for any damage. A file with only damaged lines gets one sentence."""
    line = _OUTCOME.to_json().encode()
    for damaged in (*mutations.flipped(line, 200), *mutations.retyped(line, 200)):
        (tmp_path / "lines").write_bytes(line + b"\n" + damaged)
        found = read_file(tmp_path / "lines")
        assert found[0] == _OUTCOME and len(found) <= 2
        assert all(outcome.to_markdown() and outcome.to_json() for outcome in found)
        (tmp_path / "alone").write_bytes(damaged)
        try:
            read_file(tmp_path / "alone")
        except InputError as error:
            assert len(str(error).splitlines()) == 1


def test_the_interval_of_an_accuracy_agrees_with_the_binomial():
    """300 of 400 images are right. Clopper and Pearson's interval is slightly wider, and scipy's bootstrap is equal."""
    right = np.arange(400) < 300
    low, high = mean_interval(right, seed=0)
    theirs = scipy.stats.bootstrap([right], np.mean, method="percentile", n_resamples=2000, rng=1).confidence_interval
    assert (low, high) == pytest.approx(tuple(theirs), abs=0.005)
    exact = scipy.stats.binomtest(300, 400).proportion_ci()
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.007)
    assert mean_interval(right, seed=0) == (low, high)


def test_every_statistic_of_the_images_has_an_interval():
    """The statistic is the median of numbers from 0 to 100."""
    values = np.random.default_rng(0).uniform(0, 100, 500)
    low, high = bootstrap_interval(lambda chosen: float(np.median(values[chosen])), 500, seed=0)
    assert low < np.median(values) < high and 4 < high - low < 20
