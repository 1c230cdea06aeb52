"""The comparison of methods: its sentences say how sure they are, and its files keep every number."""

import csv
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import pytest

from seer_tf.errors import InputError
from seer_tf.reports import method_comparison_files as files
from seer_tf.reports.method_comparison import Entry, MethodComparison
from tests.reports.page_reader import read_page


def entry(name: str, seed: int, knn: float | None, probe: float = 0.5, **changes: object) -> Entry:
    accuracies = {} if knn is None else {"knn": knn, "linear_probe": probe}
    made = Entry(name, seed, f"runs/{name}-{seed}", "90MF", 1000, 64, 2, 9.5, 0, 40.0, accuracies)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def comparison(
    knn: Mapping[str, Sequence[float]], probe: Mapping[str, Sequence[float]] | None = None
) -> MethodComparison:
    pairs = {name: list(zip(knn[name], (probe or knn)[name], strict=True)) for name in knn}
    entries = tuple(entry(name, seed, *pair) for name in pairs for seed, pair in enumerate(pairs[name]))
    baselines = {"untrained network": {"knn": 0.2, "linear_probe": 0.25}}
    return MethodComparison("builtin", "10 minutes", tuple(knn), 3, 2000, entries, baselines)


_CLEAR = {"swav": [0.40, 0.41, 0.42], "byol": [0.50, 0.51, 0.52], "moco": [0.30, 0.31, 0.32]}
_CLOSE = {"swav": [0.45, 0.48, 0.55], "byol": [0.46, 0.51, 0.53], "moco": [0.30, 0.31, 0.32]}


def test_a_clear_lead_is_advice() -> None:
    knn, probe, advice, about = comparison(_CLEAR).recommendation()
    assert knn.startswith("k-NN: byol is best, 51.0 % over 3 seeds (50.0 % to 52.0 %). It is ahead of swav (by 10")
    assert "do not tell" not in knn and probe.startswith("linear probe: byol is best")
    assert advice.startswith("Advice: byol. Both accuracies say so")
    assert "neither other test images (2,000 here)" in about


def test_what_the_seeds_do_not_tell_apart_is_said() -> None:
    knn, _, advice, _ = comparison(_CLOSE).recommendation()
    assert "It is ahead of moco (by 19.0" in knn and "The seeds do not tell it from swav (by 0.7 points, -" in knn
    assert advice.startswith("Advice: byol, but not surely, since swav may be as good")


def test_accuracies_that_disagree_give_no_advice() -> None:
    swapped = {"swav": _CLEAR["byol"], "byol": _CLEAR["swav"], "moco": _CLEAR["moco"]}
    advice = comparison(_CLEAR, swapped).recommendation()[2]
    assert advice.startswith("Advice: none. The two accuracies name different methods, byol and swav")


def test_one_seed_is_a_guess() -> None:
    knn, _, advice, _ = comparison({name: values[:1] for name, values in _CLEAR.items()}).recommendation()
    assert "some method has one run only" in knn and "one run of each is a guess" in advice


def test_nothing_learned_and_retries_are_said() -> None:
    found = dataclasses.replace(comparison(_CLEAR), baselines={"colour histograms": {"knn": 0.6, "linear_probe": 0.1}})
    found = dataclasses.replace(found, entries=(*found.entries, entry("moco", 3, 0.31, retries=2)))
    said = " ".join(found.recommendation())
    assert "Advice: none. By k-NN no method is above colour histograms with 60.0 %: train longer." in said
    assert "Advice: byol" not in said
    assert "started again 2 times" in said


def test_without_labels_there_is_no_advice() -> None:
    found = dataclasses.replace(comparison(_CLEAR), num_test_images=0, entries=(entry("swav", 0, None),), baselines={})
    (sentence,) = found.recommendation()
    assert sentence.startswith("Without labels nothing here says which method is better")
    assert found.rows() == [("swav", "1", "1,000", "64", "2", "9 min 30 s", "", "", "40.0")]
    assert found.text().endswith(sentence)


def test_the_table_has_means_deviations_and_baselines() -> None:
    found = comparison(_CLEAR)
    assert found.rows()[1] == ("byol", "3", "1,000", "64", "2", "9 min 30 s", "51.0 ± 1.0", "51.0 ± 1.0", "40.0 ± 0.0")
    assert found.rows()[-1] == ("untrained network", "", "", "", "", "", "20.0", "25.0", "")
    assert found.is_complete and not dataclasses.replace(found, num_seeds=4).is_complete


def test_the_files_keep_every_number(tmp_path: pathlib.Path) -> None:
    assert files.read_comparison(tmp_path) is None
    found = comparison(_CLOSE)
    logs = [str(tmp_path / f"{each.name}-{each.seed}.jsonl") for each in found.entries]  # a log stands for its run
    for log in logs:
        pathlib.Path(log).write_text('{"step": 5, "features/rank_me": 40.0}\n')
    entries = tuple(dataclasses.replace(each, run=log) for each, log in zip(found.entries, logs, strict=True))
    found = dataclasses.replace(found, entries=entries)
    files.write_comparison(found, tmp_path)
    assert files.read_comparison(tmp_path) == found
    lines = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [float(line["knn"]) for line in lines] == [value for values in _CLOSE.values() for value in values]
    assert (lines[3]["name"], lines[3]["seed"], lines[3]["run"]) == ("byol", "0", logs[3])
    assert (tmp_path / "curves.html").read_text().count("jsonl</span>") == 9
    page = read_page((tmp_path / "comparison.html").read_text())
    assert "Advice: byol, but not surely" in page.text and "curves.html" in page.links
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(InputError, match=r"results.json is damaged .*; remove it"):
        files.read_comparison(tmp_path)
