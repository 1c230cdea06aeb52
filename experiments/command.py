"""What every binary of this folder does around its own work: start, and say in one sentence what is wrong."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from logging import getLogger

from absl import app, logging

from seer_tf.errors import InputError, LostWorkerError

TRY_AGAIN = os.EX_TEMPFAIL  # exit status 75 of what is not finished, and goes on when it is started again
_INFO = 20  # of the standard library's levels: TensorFlow's own remarks at this level are for its developers
_SURROUNDINGS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls `main`.

    An `InputError` becomes one line on standard error and exit status 2, a `LostWorkerError` one line and `TRY_AGAIN`;
    Ctrl-C exit status 130. Anything else keeps its traceback, since it is our fault and not the user's.
    """

    def guarded(arguments: Sequence[str]) -> None:
        if len(arguments) > 1:
            _stop(f"{arguments[1]!r} is not a flag of this command; see --help", status=2)
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
    logging.get_absl_handler().addFilter(lambda record: record.levelno > _INFO or "seer_tf" in record.pathname)
    getLogger("tensorflow").addFilter(lambda record: record.levelno > _INFO)  # it has a handler of its own
    app.run(guarded)


def _stop(sentence: str, status: int) -> None:
    _say(sentence)
    sys.exit(status)


def _say(sentence: str) -> None:
    sys.stdout.flush()
    print(f"error: {sentence}", file=sys.stderr, flush=True)
