"""What ends a run early."""

import os
import signal

import numpy as np
import pytest

from seer_tf.errors import InputError
from seer_tf.train.guards import StopSignals, check_finite


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered_and_the_second_goes_through(number: signal.Signals) -> None:
    seen = []
    before = signal.signal(number, lambda *_: seen.append("outer"))
    try:
        with StopSignals() as stop:
            assert stop.received is None
            os.kill(os.getpid(), number)
            assert stop.received == number.name
            assert not seen
            os.kill(os.getpid(), number)
            assert seen == ["outer"]
    finally:
        signal.signal(number, before)


def test_a_bad_number_is_named_with_its_step() -> None:
    check_finite(np.array([-1.0, -1.0]), 10, ["the loss", "the gradient of a"])
    with pytest.raises(InputError, match="at step 11 the gradient of a is not finite"):
        check_finite(np.array([-1.0, 1.0, 0.0]), 10, ["the loss", "the gradient of a"])
