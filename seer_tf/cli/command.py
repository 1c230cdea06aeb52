"""What every binary of this folder does around its own work: start, and say in one sentence what is wrong."""

import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from logging import getLogger

from absl import app, flags, logging

from seer_tf.cli.messages import FlagsInMessages, with_flags
from seer_tf.errors import InputError, LostWorkerError

TRY_AGAIN = os.EX_TEMPFAIL  # exit status 75 of what is not finished, and goes on when it is started again
_INFO = 20  # of the standard library's levels: TensorFlow's own remarks at this level are for its developers
_SURROUNDINGS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def run(main: Callable[[], None], *, words: flags.FlagHolder | None = None) -> None:
    """Parses the flags and calls `main`.

    A `~/` at the beginning of a path is the home directory: shells do not expand it after `=` and `:`.

    An `InputError` becomes one line on standard error and exit status 2, a `LostWorkerError` one line and `TRY_AGAIN`;
    Ctrl-C exit status 130. Anything else keeps its traceback, since it is our fault and not the user's.

    Args:
        main: the command.
        words: the flag that takes what is given without a flag, one word, or any number where it is repeatable.
    """

    def guarded(arguments: Sequence[str]) -> None:
        for number, word in enumerate(arguments[1:]):
            flag = None if words is None else flags.FLAGS[words.name]
            if flag is None or (number and not isinstance(flag, flags.MultiFlag)):
                _stop(f"{word!r} is not a flag of this command; see --help", status=2)
            else:
                flag.parse(word)
        try:
            main()
        except InputError as error:
            _stop(str(error), status=2)
        except LostWorkerError as error:
            _say(str(error))
            os._exit(TRY_AGAIN)  # the ordinary end of a process waits up to a minute for what TensorFlow has under way
        except KeyboardInterrupt:
            _stop("interrupted", status=130)
        except OSError as error:
            if error.errno not in _SURROUNDINGS:
                raise
            _stop(f"{error.filename or 'the output'}: {error.strerror}; nothing half-written is left", status=2)

    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(FlagsInMessages())
    logging.get_absl_handler().addFilter(lambda record: record.levelno > _INFO or "seer_tf" in record.pathname)
    getLogger("tensorflow").addFilter(lambda record: record.levelno > _INFO)  # it has a handler of its own
    flags.FLAGS.set_gnu_getopt(True)  # flags may follow words
    app.run(guarded, argv=[re.sub(r"(?<![^=:])~(?=/)", os.path.expanduser("~"), word) for word in sys.argv])


def _stop(sentence: str, status: int) -> None:
    _say(sentence)
    sys.exit(status)


def _say(sentence: str) -> None:
    sys.stdout.flush()
    print(f"error: {with_flags(sentence)}", file=sys.stderr, flush=True)
