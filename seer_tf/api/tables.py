"""Tables and curves of results in a notebook, as HTML."""

import html
from collections.abc import Mapping, Sequence

# Colours of charts, which our pages define but notebooks do not. They are readable on light and dark backgrounds.
_STYLE = "--text: #7d848c; --faint: #9aa0a6; --accent: #2f8f6f; max-width: 760px"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a `<table>` of plain texts."""
    lines = [_row("th", header), *(_row("td", row) for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def facts(values: Mapping[str, str]) -> str:
    """Returns a `<table>` with a name and a value on each line."""
    lines = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in values.items())
    return f"<table>{''.join(lines)}</table>"


def figure(svg: str) -> str:
    """Returns a chart from `reports.charts` with defined colours."""
    return f'<div style="{_STYLE}">{svg}</div>'


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
