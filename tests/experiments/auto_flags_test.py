"""The recipe `auto` as a person asks for it, with colours of one's own."""

import re
import subprocess
import sys
from pathlib import Path


def test_colours_that_the_user_sets_are_looked_at_once(tmp_path: Path) -> None:
    """Nothing is left to choose from; that crops share too little with them is said all the same."""
    colours = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2, "grayscale_probability": 0.2}
    command = [
        *(sys.executable, "-m", "experiments.pretrain", "--recipe=auto", "--data=builtin", "--show_config"),
        *(f"--run_dir={tmp_path / 'run'}", "--set=run.num_steps=20"),
        *(f"--set=crops.{name}={value}" for name, value in colours.items()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("% with crops.brightness=0.8 and crops.hue=0.2") == done.stdout.count("% with crops.") == 1
    assert "warning: even with the weakest distortion of colours that was tried" in done.stdout
    assert re.search("crops.hue=0.2 +as you set it", done.stdout)
    assert not (tmp_path / "run").exists()
