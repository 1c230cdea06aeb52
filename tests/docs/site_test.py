"""The pages build into a site without a warning, and name every command."""

import pathlib
import re
import subprocess
import sys

from seer_tf.cli.entry import COMMANDS
from tests.places import DOCS, ROOT


def test_the_site_builds_without_a_warning(tmp_path: pathlib.Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0 and not built.stderr, built.stderr
    assert "seer_tf.methods.swav.sinkhorn" in (tmp_path / "reference" / "api" / "swav" / "index.html").read_text()


def test_the_page_of_commands_names_all_of_them() -> None:
    page = (DOCS / "reference" / "commands.md").read_text()
    assert set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) == set(COMMANDS)


def test_the_page_on_the_house_names_every_room() -> None:
    page = (DOCS / "design" / "house.md").read_text()
    rooms = [path.name for path in (ROOT / "seer_tf").iterdir() if (path / "__init__.py").exists()]
    assert [room for room in rooms if f"  {room}/" not in page] == []
