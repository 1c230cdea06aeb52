"""The paper's comparison of architectures: networks of about equal arithmetic, same recipe, same minutes.

    python -m benchmarks.suite.architectures --train=folder:SET/train --test=folder:SET/test --minutes=60 --output=DIR

Recipe auto chooses the settings for the first network. The others get the same crops, batch, head, loss and optimizer,
and as many steps as they make in the same minutes. The table has means and standard deviations over the seeds, and the
features of the untrained networks. The same command continues a comparison that was stopped.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

import seer_tf
from benchmarks.harness.machine import machine
from seer_tf import config as configs
from seer_tf.config import PretrainingConfig
from seer_tf.models.backbones.registry import backbone_cost

#: 4.0, 4.1 and 4.5 billion multiply-adds at 224 px: the smallest ResNet of the paper's comparison, and two like it.
NETWORKS = ("4GF", "resnet50", "keras.applications:ConvNeXtTiny")
_PROTOCOLS: Mapping[str, Mapping[str, Any]] = {"knn": {}, "linear_probe": {"recipe": "optimum"}}
_SHARED_SECTIONS = ("crops", "head", "swav", "optimizer")
_SHARED_FIELDS = ("data.global_batch_size", "backbone.stem_stride", "backbone.features", "run.precision")


def main(argv: Sequence[str] | None = None) -> None:
    """Trains and measures all runs, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="Labelled images to train on and to fit on.")
    parser.add_argument("--test", required=True, help="Labelled images to measure on.")
    parser.add_argument("--minutes", type=float, required=True, help="Time of each run, in minutes.")
    parser.add_argument("--output", type=Path, required=True, help="Directory for the runs.")
    parser.add_argument("--seeds", type=int, default=3, help="Number of runs of each network.")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="Values of backbone.variant.")
    given = parser.parse_args(argv)
    print(machine(), flush=True)
    networks = given.networks.split(",")
    shared: dict[str, Any] = {}
    rows: dict[str, list[dict[str, float]]] = {network: [] for network in networks}
    for seed in range(given.seeds):
        for number, network in enumerate(networks):
            keras.backend.clear_session()
            run = seer_tf.pretrain(
                given.train,
                given.output / f"network-{number}-seed-{seed}",
                minutes=given.minutes,
                backbone=network,
                settings={**shared, "run.seed": seed},
            )
            if run.stopped_by is not None:
                return
            shared = shared or shared_settings(run.config)
            rows[network].append(measured(run, given.train, given.test))
    print(table(rows), flush=True)


def shared_settings(config: PretrainingConfig) -> dict[str, Any]:
    """Returns the fields of the first network's config that the other networks get, too."""
    values = dict(line.split("=", 1) for line in configs.to_text(config).splitlines())
    return {
        field: value
        for field, value in values.items()
        if field.partition(".")[0] in _SHARED_SECTIONS or field in _SHARED_FIELDS
    }


def measured(run: Any, train: str, test: str) -> dict[str, float]:
    """Returns the numbers of a run by the heading of their column.

    Args:
        run: Complete run.
        train: Labelled images to fit on.
        test: Labelled images to measure on.
    """
    config = run.config
    cost, size_px = backbone_cost(config.backbone), config.crops.sizes_px[0]
    found = {
        "million weights": sum(cost.weight_sizes) / 1e6,
        f"million multiply-adds at {size_px} px": cost.multiply_adds(size_px) / 1e6,
        "steps": float(config.run.num_steps),
    }
    for protocol, settings in _PROTOCOLS.items():
        for kind, untrained in (("untrained", True), ("trained", False)):
            result = run.evaluate(train=train, test=test, protocol=protocol, untrained=untrained, **settings)
            found[f"{protocol} %, {kind}"] = 100 * result.value
    return found


def table(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Returns a table in Markdown.

    Args:
        rows: The numbers of each seed, by network.
    """
    columns = list(next(iter(rows.values()))[0])
    lines = [["network", *columns], ["---"] * (1 + len(columns))]
    for network, seeds in rows.items():
        lines.append([network, *(_mean_and_deviation([seed[column] for seed in seeds]) for column in columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mean_and_deviation(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values):,.1f}"
    return mean if len(set(values)) == 1 else f"{mean} ± {statistics.stdev(values):.1f}"


if __name__ == "__main__":
    main()
