"""The reference page of the config equals the page that the code generates."""

import pathlib

from seer_tf.cli.config_page import page
from seer_tf.config import Config, describe
from seer_tf.finetuning.config import FinetuneConfig

_FILE = pathlib.Path(__file__).parents[2] / "docs" / "reference" / "config.md"


def test_the_page_is_up_to_date() -> None:
    assert _FILE.read_text("utf-8") == page(), "run `python -m seer_tf.cli.config_page > docs/reference/config.md`"


def test_every_field_has_one_row_with_default_range_unit_and_help() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    of_others = (4 + 1, 4 + 3 + 2, 4 + 2)  # the head, the method's own fields, and MoCo's optimizer
    assert len(rows) == len(describe(Config)) + len(describe(FinetuneConfig)) + sum(of_others)
    assert "| `queue_length` | `65536` | whole number, above zero | keys | Number of keys from earlier steps. |" in rows
    assert "| `num_prototypes` | `3000` | whole number, 2 or more |  | Number of prototypes. |" in rows
    assert "| `warmup_steps` | `0` | whole number, zero or more | steps | Length of the warm-up. |" in rows
    assert all(row.count(" | ") == 4 for row in rows)
