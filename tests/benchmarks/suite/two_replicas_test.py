"""Two checkouts are compared in turn; here both are this one."""

import pathlib
import re

import pytest

from benchmarks.suite import two_replicas

_SMALL = (
    "backbone.variant=90MF",
    "data.global_batch_size=4",
    "crops.sizes_px=32,16",
    "head.num_prototypes=10",
    "head.hidden_dims=64",
)


@pytest.mark.slow
def test_the_table_has_times_memory_and_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    two_replicas.main(str(pathlib.Path(two_replicas.__file__).parents[2]), "1", *_SMALL)
    text = capsys.readouterr().out
    rows = re.findall(r"^\| (this checkout|the other) \| (\d+) \| ([\d,]+) \|$", text, re.MULTILINE)
    assert [name for name, *_ in rows] == ["this checkout", "the other"]
    assert all(int(ms) > 0 and 200 < int(mib.replace(",", "")) < 20_000 for _, ms, mib in rows)
    ratio = re.search(r"^The other to this one, memory: (\S+) \(", text, re.MULTILINE)
    assert ratio and 0.7 < float(ratio[1]) < 1.4
