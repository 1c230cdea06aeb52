"""One input after the other, and what went wrong with it."""

import contextlib
import dataclasses
import io
import pathlib
import shutil
import signal
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.errors import InputError
from tests.fuzz.damage import Draw, damaged
from tests.fuzz.kinds import KINDS

_PROCESSOR_SECONDS, _SECONDS = 30, 600
_ANSWERS = (InputError, UnusableImageError)


@dataclasses.dataclass(frozen=True)
class Fault:
    """An input that was not answered.

    Attributes:
        kind: Name of its kind.
        seed: Seed that makes it again.
        error: Type and text of the error.
        place: Last place in this package.
        text: Traceback.
    """

    kind: str
    seed: str
    error: str
    place: str
    text: str


def trials(kinds: Sequence[str], seed: int, root: pathlib.Path) -> Iterator[Fault | None]:
    """Yields a fault or None for one input after the other, without end; the kinds take turns."""
    for name in kinds:
        (root / name / "good").mkdir(parents=True)
        KINDS[name].make(root / name / "good")
    number = 0
    while True:
        for name in kinds:
            yield _trial(name, f"{seed}/{number}", root / name)
        number += 1


def _trial(name: str, seed: str, root: pathlib.Path) -> Fault | None:
    kind, draw = KINDS[name], Draw(f"{name} {seed}")
    place = root / f"{draw.getrandbits(40):010x}"
    shutil.copytree(root / "good", place)
    try:
        if kind.damages:
            file = draw.choice(sorted(path for path in place.rglob(kind.damages) if path.is_file()))
            file.write_bytes(damaged(file.read_bytes(), draw))
        with _limited(), contextlib.redirect_stderr(io.StringIO()):
            kind.read(place, draw)
    except _ANSWERS:
        pass
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/seer_tf/" in frame.filename]
        where = f"{frames[-1].filename.rpartition('/seer_tf/')[2]}:{frames[-1].lineno}" if frames else "?"
        return Fault(name, seed, f"{type(error).__name__}: {str(error)[:200]}", where, traceback.format_exc())
    finally:
        shutil.rmtree(place)
    return None


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Limits the time of the processor, and the whole time by a larger number, since the machine may be busy."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"longer than {_PROCESSOR_SECONDS} s of the processor, or {_SECONDS} s altogether")

    limits = ((signal.ITIMER_PROF, signal.SIGPROF, _PROCESSOR_SECONDS), (signal.ITIMER_REAL, signal.SIGALRM, _SECONDS))
    for timer, number, seconds in limits:
        signal.signal(number, stop)
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _, _ in limits:
            signal.setitimer(timer, 0)
