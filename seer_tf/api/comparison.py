"""The comparison of methods: the same network on the same images for the same time, with several seeds of each."""

import contextlib
import dataclasses
import functools
import os
import statistics
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from seer_tf import config as configs
from seer_tf.api.comparison_images import ComparisonImages, comparison_images
from seer_tf.api.contestants import CONTESTANTS, Contestants, method_of, settings_of
from seer_tf.api.images import Images, as_data
from seer_tf.api.pretraining import Pretraining
from seer_tf.config import PretrainingConfig
from seer_tf.data.sources.registry import Data, absolute, check_source, name_of, open_source
from seer_tf.distributed.devices import Devices
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations.registry import EVALUATIONS
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.files import sealed_json
from seer_tf.files.atomic import check_directory, write_atomically
from seer_tf.files.lock import locked
from seer_tf.files.system_errors import takes_paths
from seer_tf.pretraining.auto.rules import METHODS, find_rules
from seer_tf.quantities import counted
from seer_tf.reports.curves import read_events
from seer_tf.reports.method_comparison import PROTOCOLS, Entry, MethodComparison
from seer_tf.reports.method_comparison_files import read_comparison, write_comparison
from seer_tf.training.metrics import IMAGES_PER_SECOND, RANK_ME
from seer_tf.training.retries import read_retries
from seer_tf.training.run_directory import RunDirectory

_PLAN, _LOCK = "plan.json", "lock"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A request to compare methods.

    Attributes:
        data: Images to train on, with or without labels.
        output: Directory for runs, tables and pages.
        minutes: Time for the training of each run, in minutes; None if `steps` is given.
        steps: Number of steps of each run; None if `minutes` is given.
        seeds: Number of runs of each contestant.
        methods: Names of contestants. The first one decides on the network.
        train_data: Labelled images to fit on; None for those of `data`.
        test_data: Labelled images to measure on; None for a part of `data` that is held out.
        settings: Fields to set, `section.field=value`; the section of one method counts for that method.
        devices: Devices of this host.
        say: Function that receives each line of the report.
    """

    data: Data
    output: Path
    minutes: float | None = None
    steps: int | None = None
    seeds: int = 3
    methods: Sequence[str] = METHODS
    train_data: Data | None = None
    test_data: Data | None = None
    settings: Sequence[str] = ()
    devices: Devices = Devices()
    say: Callable[[str], None] = functools.partial(print, flush=True)

    def run(self) -> MethodComparison:
        """Trains and evaluates all runs, and writes the result after each. The same call continues the comparison.

        Returns:
            The comparison. If a signal stopped it early, `stopped_by` has the signal's name.

        Raises:
            InputError: An argument is wrong, or a run or an evaluation raises it.
        """
        self._check()
        with self._claimed():
            images = comparison_images(self.data, self.train_data, self.test_data, self.output / "images")
            planned = self._planned(images)
            found = self._begun(images)
            jobs = [(seed, name) for seed in range(self.seeds) for name in planned]
            for number, (seed, name) in enumerate(jobs, start=1):
                if (name, seed) in {(entry.name, entry.seed) for entry in found.entries}:
                    continue
                self.say(f"run {number} of {len(jobs)}: {name}, seed {seed}")
                if stopped_by := self._train(planned[name], name, seed):
                    return dataclasses.replace(found, stopped_by=stopped_by)
                found = self._with_run(found, images, planned[name], name, seed)
                self.say(found.entries[-1].line())
                write_comparison(found, self.output)
            write_comparison(found, self.output)  # again, if an earlier call was killed before its pages were complete
            return found

    def _check(self) -> None:
        """Raises an error if an argument is wrong, before any image is read."""
        if (self.minutes is None) == (self.steps is None):
            raise InputError("give either `minutes`, the time of each run, or `steps`, its length")
        for argument, value in (("seeds", self.seeds), ("steps", self.steps)):
            if value is not None and value < 1:
                raise InputError(f"`{argument}={value}` must be 1 or more")
        for name in self.methods:
            if name not in CONTESTANTS:
                raise InputError.unknown("method to compare", name, CONTESTANTS)
        if len(self.methods) < 2 or len(set(self.methods)) < len(self.methods):
            raise InputError(
                f"`methods={','.join(self.methods)}` must be two different ones or more of {', '.join(CONTESTANTS)}"
            )
        for name in self.methods:
            configs.parse(find_rules(method_of(name)).kind, settings_of(name, self.settings))
        for data in (self.data, self.train_data, self.test_data):
            if data is not None:
                check_source(data)
        check_directory(self.output)
        if self.output.exists() and any(self.output.iterdir()) and not (self.output / _PLAN).exists():
            raise InputError(f"{self.output} holds something else than a comparison; give another `output`")

    @contextlib.contextmanager
    def _claimed(self) -> Iterator[None]:
        """Locks out other processes."""
        self.output.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self.output / _LOCK))
            except BlockingIOError:
                raise InputError(
                    f"another comparison is writing to {self.output}: wait until it ends, or give another `output`"
                ) from None
            yield

    def _planned(self, images: ComparisonImages) -> dict[str, PretrainingConfig]:
        """Returns the config of each contestant: derived now, or by an earlier call with the same arguments."""
        file, asked = self.output / _PLAN, self._asked(images)
        if not file.exists():
            derived = Contestants(
                self.methods, images.train, self.minutes, self.steps, self.settings, self.devices, self.say
            ).configs()
            content = {"asked": asked, "configs": {name: configs.to_json(each) for name, each in derived.items()}}
            write_atomically(file, sealed_json.text(content))
        try:
            begun = sealed_json.parse(file.read_bytes())
            was = sealed_json.typed(begun["asked"], dict[str, str])
            planned = {
                name: configs.from_json(each, find_rules(method_of(name)).kind)
                for name, each in begun["configs"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{file} is damaged ({error}); restore it, or give another `output`") from None
        if changed := [
            f"{name}: {was.get(name)}, now {value}" for name, value in asked.items() if was.get(name) != value
        ]:
            raise InputError(
                f"{self.output} holds another comparison ({'; '.join(changed)}): give the same arguments to continue "
                "it, or another `output`"
            )
        return planned

    def _asked(self, images: ComparisonImages) -> dict[str, str]:
        """Returns the arguments that must not change; more seeds may follow."""
        return {
            "data": images.train,
            "train_data": _named(images.labelled),
            "test_data": _named(images.test),
            "length": self._length(),
            "methods": ",".join(self.methods),
            "settings": " ".join(self.settings),
        }

    def _length(self) -> str:
        return counted(self.minutes, "minute") if self.minutes is not None else counted(self.steps or 0, "step")

    def _begun(self, images: ComparisonImages) -> MethodComparison:
        """Returns what an earlier call has found, or an empty comparison."""
        found = read_comparison(self.output)
        if found is not None:
            return dataclasses.replace(found, num_seeds=self.seeds)
        num_test_images = 0 if images.test is None else open_source(images.test).num_images
        return MethodComparison(images.train, self._length(), tuple(self.methods), self.seeds, num_test_images)

    def _train(self, config: PretrainingConfig, name: str, seed: int) -> str | None:
        """Trains a run to its end, and returns the name of the signal that stopped it, if one did."""
        keras.backend.clear_session()
        config = configs.replace(config, {"run.seed": seed})
        run = str(self._directory(name, seed).path)
        return Pretraining(start=None, run_dir=run, devices=self.devices).run(config).stopped_by

    def _directory(self, name: str, seed: int) -> RunDirectory:
        return RunDirectory(self.output / "runs" / f"{name}-seed-{seed}")

    def _with_run(
        self, found: MethodComparison, images: ComparisonImages, config: PretrainingConfig, name: str, seed: int
    ) -> MethodComparison:
        """Returns the comparison with another run; the first one also gives the baselines."""
        directory = self._directory(name, seed)
        run, curves = str(directory.path), read_events(directory.tensorboard)
        steps, batch = config.run.num_steps, config.data.global_batch_size
        entry = Entry(
            name=name,
            seed=seed,
            run=run,
            network=config.backbone.variant,
            steps=steps,
            batch=batch,
            crops=sum(config.crops.num),
            minutes=steps * batch / statistics.median(curves[IMAGES_PER_SECOND].values()) / 60,
            retries=len(read_retries(directory)),
            rank_me=list(curves[RANK_ME].values())[-1],
            accuracies=_accuracies(FeatureRequest(run), images),
        )
        baselines = found.baselines
        if entry.accuracies and not baselines:
            baselines = {
                "untrained network": _accuracies(FeatureRequest(run, untrained=True), images),
                "colour histograms": _accuracies(FeatureRequest(run, pixels="histogram"), images),
            }
        return dataclasses.replace(found, entries=(*found.entries, entry), baselines=baselines)


def _named(data: Data | None) -> str:
    return "none" if data is None else absolute(name_of(data)) if isinstance(data, str) else name_of(data)


def _accuracies(features: FeatureRequest, images: ComparisonImages) -> dict[str, float]:
    """Returns the accuracies of features by protocol; none without labels."""
    if images.labelled is None or images.test is None:
        return {}
    found = {}
    for protocol in PROTOCOLS:
        request = EvaluationRequest(features, images.labelled, images.test)
        result = EVALUATIONS.find(protocol)(request).result
        request.keep(result)
        found[protocol] = result.value
    return found


@takes_paths
def compare_methods(
    data: Images,
    output: str | os.PathLike[str],
    *,
    minutes: float | None = None,
    steps: int | None = None,
    seeds: int = 3,
    methods: Sequence[str] = METHODS,
    train_data: Images | None = None,
    test_data: Images | None = None,
    settings: Mapping[str, Any] | None = None,
    num_devices: int | None = None,
) -> MethodComparison:
    """Compares methods of pretraining on your images: each trains the same network for the same time.

    Recipe auto sets each method, and the first one decides on the network. The same call continues a comparison that
    was stopped, and more seeds can be added to it.

    Args:
        data: Images to train on: a folder, a data spec, a NumPy array uint8 `[N, h, w, 3]`, or a `tf.data.Dataset`.
        output: Directory of a new comparison or one to continue. It gets the runs, `results.json`, `results.csv` and
            two pages.
        minutes: Time for the training of each run, in minutes; either this or `steps`.
        steps: Number of steps of each run, with equal numbers of images.
        seeds: Number of runs of each method.
        methods: Names of two or more of swav, simclr, moco, byol and swav_two_crops, which is SwAV without multi-crop.
        train_data: Labelled images to fit classifiers on; None for those of `data`.
        test_data: Labelled images to measure on; None for a fifth of each class of `data`, which is not trained on.
        settings: Fields of the config to set for all methods, by `section.field`; the section of one method counts for
            that method.
        num_devices: Number of devices in this host; if None, all GPUs, or one device without GPUs.

    Returns:
        The comparison, with its `recommendation()`; also if a signal stopped it early.

    Raises:
        InputError: An argument is wrong, or a run fails a health check.
    """
    if threading.current_thread() is not threading.main_thread():
        raise InputError("compare_methods runs in the main thread only, which alone can answer signals; call it there")
    return Comparison(
        data=as_data(data),
        output=Path(output).expanduser().absolute(),
        minutes=minutes,
        steps=steps,
        seeds=seeds,
        methods=tuple(methods),
        train_data=None if train_data is None else as_data(train_data),
        test_data=None if test_data is None else as_data(test_data),
        settings=[f"{field}={configs.format_value(value)}" for field, value in (settings or {}).items()],
        devices=Devices(num_devices=num_devices),
    ).run()
