"""The fresh process has the environment of a user, without the variables that this package sets."""

import json
import re
from pathlib import Path

import pytest

from seer_tf.exporting import fresh_process
from tests.places import ROOT

_SHOWS = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"


@pytest.mark.parametrize("variables", (fresh_process.AS_IT_IS, *fresh_process.EVERY_ONE_DNN), ids=str)
def test_the_fresh_process_has_only_the_variables_of_a_user(variables, tmp_path, monkeypatch):
    """The variables are set in this process, but not in the fresh process."""
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
    """The test fails if the package sets another variable that the fresh process would inherit."""
    sources = (path.read_text("utf-8") for path in (ROOT / "seer_tf").rglob("*.py"))
    pattern = re.compile(r"""environ(?:\.setdefault\(|\[)"(\w+)"(?:,|\] =)""")
    found = {name for source in sources for name in pattern.findall(source)}
    assert {"TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"} <= found <= set(fresh_process._SET_BY_US)


def test_the_error_names_the_setting(tmp_path):
    """The error also contains the output of the process."""
    (tmp_path / "broken.py").write_text("raise SystemExit('no such kernel')")
    with pytest.raises(RuntimeError, match=r"^model fails in .* with TF_ENABLE_ONEDNN_OPTS=0; .*\n.*kernel"):
        fresh_process.run(tmp_path / "broken.py", Path("model"), tmp_path, {"TF_ENABLE_ONEDNN_OPTS": "0"})
