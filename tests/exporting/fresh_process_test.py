"""The fresh process has a user's environment: what this package sets for itself is not in it."""

import json
import re
from pathlib import Path

import pytest

from seer_tf.exporting import fresh_process
from tests.places import ROOT

_SHOWS = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"


@pytest.mark.parametrize("variables", (fresh_process.AS_IT_IS, *fresh_process.EVERY_ONE_DNN), ids=str)
def test_it_has_the_variables_of_a_user_alone(variables, tmp_path, monkeypatch):
    """Set here, and not there."""
    for name in fresh_process._SET_BY_US:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OF_THE_USER", "kept")
    (tmp_path / "shows.py").write_text(_SHOWS)
    arguments, environment = json.loads(fresh_process.run_script(tmp_path / "shows.py", ["a b"], variables).stdout)
    assert arguments == ["a b"] and environment["OF_THE_USER"] == "kept"
    assert environment.get("TF_ENABLE_ONEDNN_OPTS") == variables.get("TF_ENABLE_ONEDNN_OPTS")
    assert "TF_CPP_MIN_LOG_LEVEL" not in environment
    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"  # the process that compares may use all of the GPU


def test_every_variable_that_this_package_sets_is_left_out():
    """Fails when the package sets one more that its fresh process would inherit."""
    sources = (path.read_text("utf-8") for path in (ROOT / "seer_tf").rglob("*.py"))
    pattern = re.compile(r"""environ(?:\.setdefault\(|\[)"(\w+)"(?:,|\] =)""")
    found = {name for source in sources for name in pattern.findall(source)}
    assert {"TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"} <= found <= set(fresh_process._SET_BY_US)


def test_what_fails_says_with_which_setting(tmp_path):
    """And what the process said."""
    (tmp_path / "broken.py").write_text("raise SystemExit('no such kernel')")
    with pytest.raises(RuntimeError, match=r"^model fails in .* with TF_ENABLE_ONEDNN_OPTS=0; .*\n.*kernel"):
        fresh_process.run(tmp_path / "broken.py", Path("model"), tmp_path, {"TF_ENABLE_ONEDNN_OPTS": "0"})
