"""Odd paths work from the first step to the export: patterns, names that are not UTF-8, control characters."""

import pathlib

import pytest

import seer_tf
from seer_tf.data.sources import builtin

_SHORT = {
    "run.log_every_steps": 2,
    "run.checkpoint_every_steps": 2,
    "run.steps_per_call": 2,
    "schedule.warmup_steps": 1,
    "swav.freeze_prototypes_steps": 1,
    "run.num_steps": 4,
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "images"), [("lr=[0.6]/a\\b?*", "images"), ("=1+1 \x1b[2J\t", "caf\udce9 \x1b[2J")])
def test_a_run_is_trained_resumed_loaded_and_exported(tmp_path: pathlib.Path, name: str, images: str) -> None:
    """Images may lie where the name is not UTF-8; a run and an export may not, as a sentence says."""
    place = tmp_path / name
    (place / images).mkdir(parents=True)
    for number in range(40):
        (place / images / f"{number}[{number}]{images}.jpg").write_bytes(builtin.render_image("train", number)[0])
    run_dir = place / "run"
    trained = seer_tf.pretrain(place / images, run_dir, recipe="debug_tiny", settings=_SHORT)
    (run_dir / "checkpoints" / "step-4").rename(place / "taken away")
    seer_tf.pretrain(place / images, run_dir, recipe="debug_tiny", settings=_SHORT)
    assert (run_dir / "checkpoints" / "step-4").is_dir()  # the second call continued from step 2
    assert len(trained.features(place / images).ids) == 40
    seer_tf.export(run_dir, place / "export", images=place / images)
    assert list((place / "export").rglob("saved_model.pb"))
