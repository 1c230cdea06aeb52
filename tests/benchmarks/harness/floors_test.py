"""The machine's own limit: plausible rates, and the longer of the times for arithmetic and for bytes."""

import pytest

from benchmarks.harness.floors import Limits, Work


def test_the_longer_of_arithmetic_and_bytes_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limits, "flops_per_second", lambda _: 100.0)
    monkeypatch.setattr(Limits, "bytes_per_second", lambda _: 10.0)
    limits = Limits()
    assert limits.seconds(Work(flops=200, num_bytes=10)) == 2
    assert limits.seconds(Work(flops=200, num_bytes=50)) == 5
    assert limits.seconds(Work()) == 0


def test_rates_are_plausible_for_a_processor() -> None:
    limits = Limits()
    assert 1e9 < limits.flops_per_second() < 1e14
    assert 1e8 < limits.bytes_per_second() < 1e13
