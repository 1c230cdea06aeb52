"""Writes flags into the library's messages, so that users of commands can type them.

The library does not know flags. Its messages have config fields, with or without a value, and arguments in backquotes.
Here `head.num_prototypes=100` becomes --set head.num_prototypes=100, `run.init_from` becomes --init_from, and `run_dir`
becomes --run_dir.
"""

import logging
import re

from absl import flags

from seer_tf.errors import printable_lines

_FLAGS_OF_FIELDS = {
    "data.augment_on": "augment_on",
    "data.max_bad_fraction": "max_bad_fraction",
    "data.source": "data",
    "data.subset_list": "subset_list",
    "run.init_from": "init_from",
    "run.on_trouble": "on_trouble",
    "run.reset": "reset",
    "run.seed": "seed",
    "run.xla": "xla",
    "test": "test_data",
    "train": "train_data",
}


def with_flags(sentence: str) -> str:
    """Returns a sentence from the library with flags in place of fields and arguments in backquotes.

    A name that has no flag in this command stays, without its backquotes.
    """
    return re.sub(r"`([\w.]+)(=[^`]*)?`", _typed, sentence)


class FlagsInMessages(logging.Filter):
    """A filter of log records that writes flags into the library's messages, and control characters as text."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrites the message of the record; lets every record pass."""
        record.msg, record.args = printable_lines(with_flags(record.getMessage())), ()
        return True


def _typed(found: re.Match[str]) -> str:
    name, value = found[1], found[2] or ""
    flag = _FLAGS_OF_FIELDS.get(name, name)
    if flag in flags.FLAGS:
        return f"--{flag}{value}"
    return f"--set {name}{value}" if value and "." in name else f"{name}{value}"
