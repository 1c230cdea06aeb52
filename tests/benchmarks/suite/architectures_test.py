"""The comparison of architectures: shared settings, its table, and a comparison in small."""

from pathlib import Path

import pytest

from benchmarks.suite import architectures
from seer_tf.config import BackboneConfig
from seer_tf.models.backbones.registry import backbone_cost
from seer_tf.networks.pretrained import read_config
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.run_directory import RunDirectory
from tests.class_folders import write_class_folders

_SMALL = ("90MF", "benchmarks.suite.small_networks:resnet", "benchmarks.suite.small_networks:convnext")


@pytest.mark.parametrize(
    ("networks", "stem_stride", "size_px", "least"), [(architectures.NETWORKS, 2, 224, 3.9e9), (_SMALL, 1, 32, 7.4e6)]
)
def test_networks_have_about_equal_arithmetic(
    networks: tuple[str, ...], stem_stride: int, size_px: int, least: float
) -> None:
    costs = [backbone_cost(BackboneConfig(network, stem_stride=stem_stride)) for network in networks]
    found = [cost.multiply_adds(size_px) for cost in costs]
    assert max(found) < 1.2 * min(found) and least < min(found)


def test_shared_settings_are_those_of_the_recipe_and_not_of_the_network() -> None:
    found = architectures.shared_settings(recipe("debug_tiny"))
    assert found["crops.num"] == "2,2" and "swav.temperature" in found and "backbone.features" in found
    assert not {"backbone.variant", "run.num_steps", "schedule.warmup_steps", "run.seed"} & found.keys()


def test_a_table_has_means_and_deviations() -> None:
    rows = {
        "a": [{"steps": 1000.0, "knn %": 40.0}, {"steps": 1000.0, "knn %": 50.0}],
        "b": [{"steps": 1.0, "knn %": 7.0}],
    }
    assert architectures.table(rows).splitlines() == [
        "| network | steps | knn % |",
        "| --- | --- | --- |",
        "| a | 1,000.0 | 45.0 ± 7.1 |",
        "| b | 1.0 | 7.0 |",
    ]


@pytest.mark.slow
def test_a_comparison_in_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("train", "test"):
        write_class_folders(tmp_path / folder, folder, range(40))
    output = tmp_path / "runs"
    places = [f"--{folder}=folder:{tmp_path / folder}" for folder in ("train", "test")]
    arguments = [*places, f"--output={output}", "--minutes=0.1", "--seeds=1"]
    architectures.main([*arguments, "--networks=90MF,keras.applications:MobileNetV3Small"])
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in rows[2:]] == ["90MF", "keras.applications:MobileNetV3Small"]
    assert all(0 <= float(cell) <= 100 for row in rows[2:] for cell in row[-4:])
    first, second = (read_config(RunDirectory(output / f"network-{number}-seed-0")) for number in range(2))
    assert first.crops == second.crops and first.backbone.features == second.backbone.features
