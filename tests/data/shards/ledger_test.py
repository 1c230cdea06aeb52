"""Names in lists break no line, and no spreadsheet takes one for a formula."""

import pytest

from seer_tf.data.shards import ledger


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1.jpg", "\\x3d1+1.jpg"),
        ("+a", "\\x2ba"),
        ("-a", "\\x2da"),
        ("@a", "\\x40a"),
        ("a=b", "a=b"),
        ("\x1b[2J\t\n", "\\x1b[2J\\t\\n"),
        ("caf\udce9", "caf\\udce9"),
        ("größe", "größe"),
        ("", ""),
    ],
)
def test_a_cell(name: str, written: str) -> None:
    assert ledger.cell(name) == written
    assert ledger.cell(written) == written  # lists of shards are joined
    assert ledger.parse(ledger.to_text([(name, "reason")])) == [(written, "reason")]
