"""The blocks on the page about watching a run, with fakes for the packages that get the numbers."""

import contextlib
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import seer_tf
from tests.places import DOCS

_BLOCKS = re.findall(r"```python\n(.*?)```", (DOCS / "guides" / "watching_a_run.md").read_text("utf-8"), re.DOTALL)


def test_each_block_feeds_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[tuple[int, Mapping[str, float]]] = []

    def take(numbers: Mapping[str, float], *, step: int) -> None:
        fed.append((step, numbers))

    @contextlib.contextmanager
    def opened(**_: Any) -> Iterator[types.SimpleNamespace]:
        yield types.SimpleNamespace(log=take)

    def pretrain(*_: Any, on_log: Callable[[int, Mapping[str, float]], object], **__: Any) -> None:
        on_log(50, {"loss/loss": 2.5})

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=opened))
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(start_run=opened, log_metrics=take))
    monkeypatch.setattr(seer_tf, "pretrain", pretrain, raising=False)
    for block in _BLOCKS:
        exec(block, {})
    assert fed == [(50, {"loss/loss": 2.5})] * 2
