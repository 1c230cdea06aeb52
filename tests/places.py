"""Directories that the tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GOLDEN = Path(__file__).parent / "golden"
