"""The soak runs, in small, and prints a table for each part."""

import pytest

from benchmarks.suite import soak


@pytest.mark.slow
def test_a_small_soak_prints_a_table_for_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    soak.main(["--images=60", "--steps=20", "--every_steps=10"])
    printed = capsys.readouterr().out
    assert [line.split()[2].rstrip(":") for line in printed.splitlines() if line.startswith("### ")] == [
        "prepare_shards",
        "extract_features",
        "pretrain",
    ]
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("| memory, MiB")]
    assert len(rows) == 3 and all(float(cell) > 0 for row in rows for cell in row[1:])


def test_a_table_has_a_row_for_each_quantity() -> None:
    assert soak.table("title", {"threads": [1, 2, 3, 4.25]}).splitlines()[-2:] == [
        "| --- | --- | --- | --- | --- |",
        "| threads | 1 | 2 | 3 | 4.25 |",
    ]
