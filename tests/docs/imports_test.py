"""All names that the pages import from this package exist."""

import ast
import importlib.util
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import DOCS, ROOT

_PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])
_BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def _imported(page: Path) -> Iterator[tuple[str, str]]:
    """Yields module and name of each import from this package."""
    for _, block in _BLOCK.findall(page.read_text("utf-8")):
        for node in ast.walk(ast.parse(textwrap.dedent(block))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seer_tf"):
                yield from ((node.module or "", alias.name) for alias in node.names)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_imported_names_exist(page: Path) -> None:
    for module, name in _imported(page):
        found = importlib.import_module(module)
        is_module = hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}")
        assert hasattr(found, name) or is_module, f"{module} has no {name}"


def test_imports_are_found() -> None:
    found = {module for page in _PAGES for module, _ in _imported(page)}
    assert {"seer_tf", "seer_tf.networks.load"} <= found
