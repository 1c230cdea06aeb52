"""Pretraining from images to a run: the config, the devices, the checks before anything expensive, the steps."""

import dataclasses
import functools
import os
import pathlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seer_tf import config as configs
from seer_tf.api.backbones import Network, variant_of_run
from seer_tf.api.images import Images, spec_of_run
from seer_tf.api.model import Run
from seer_tf.config import PretrainingConfig
from seer_tf.data.sources.labelled import open_labelled
from seer_tf.data.sources.part import training_images
from seer_tf.data.sources.places import with_absolute_places
from seer_tf.data.sources.registry import Source, absolute, check_source
from seer_tf.distributed.devices import Devices
from seer_tf.distributed.strategy import is_chief
from seer_tf.errors import InputError
from seer_tf.evaluation.colour import colour_accuracy
from seer_tf.evaluation.features.run_features import keep_whitened_stages
from seer_tf.evaluation.protocols.online_probe import OnlineProbe, compared_by_own_labels, has_two_classes
from seer_tf.files.atomic import check_directory
from seer_tf.files.system_errors import takes_paths
from seer_tf.models import all_stages
from seer_tf.models.backbones.registry import check_backbone
from seer_tf.networks.load import check_network
from seer_tf.networks.pretrained import read_config
from seer_tf.pretraining import registry, task
from seer_tf.pretraining.auto import derivation, rules
from seer_tf.pretraining.auto.choices import NAME as AUTO
from seer_tf.pretraining.auto.dataset_summary import summarize
from seer_tf.pretraining.auto.derivation import Derivation
from seer_tf.pretraining.logger import PretrainingLogOptions
from seer_tf.quantities import percent
from seer_tf.training.logger import OnLog
from seer_tf.training.loop import RunResult
from seer_tf.training.run_directory import RunDirectory, check_exists, moves_named
from seer_tf.training.workers import Opened, begun_run

_LEAST_MINUTES = 0.1


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """A request to pretrain.

    Attributes:
        start: Config to start from; None to derive one from the images (recipe auto).
        method: Method for recipe auto; None for SwAV, or for that of the run that is continued.
        assignments: Fields to set, `section.field=value`.
        run_dir: Run directory; None if only the config is needed.
        minutes: Time for recipe auto, in minutes; None for 45.
        device_memory_gib: Memory of one device for recipe auto, in GiB; None for the host's, or 16 for a GPU.
        devices: Devices and hosts.
        probe_data: Data spec of labelled images for k-NN and a linear probe during the run.
        log_json: File for the numbers of the log.
        profile_steps: First and last step to profile.
        on_log: Function that receives the step and the numbers at the end of each interval of the log.
        say: Function that receives each line of recipe auto's report.
        clock: Clock of recipe auto's minutes, as for `Derivation`.
    """

    start: PretrainingConfig | None
    method: str | None = None
    assignments: Sequence[str] = ()
    run_dir: str | None = None
    minutes: float | None = None
    device_memory_gib: float | None = None
    devices: Devices = Devices()
    probe_data: str | None = None
    log_json: str | None = None
    profile_steps: tuple[int, int] | None = None
    on_log: OnLog | None = None
    say: Callable[[str], None] = functools.partial(print, flush=True)
    clock: Callable[[], float] = time.monotonic

    def config(self) -> PretrainingConfig:
        """Returns the validated config of the run.

        Raises:
            InputError: A field or a path is wrong, or no config can be derived from the images.
        """
        if self.start is not None:
            self._check_without_auto(self.start)
            config = configs.override(self.start, self.assignments)
        elif self.run_dir and (directory := RunDirectory(self.run_dir)).holds_a_run():
            self._check_method(directory)
            config = configs.override(read_config(directory), self.assignments)
        else:
            config = self._derived()
        return with_absolute_places(configs.validate(config))

    def run(self, config: PretrainingConfig) -> RunResult:
        """Trains to the end, from the newest checkpoint or from the beginning.

        Args:
            config: Result of `config()`.

        Raises:
            InputError: `pretraining.task.pretrain` raises it, or a path or a device is wrong.
            LostWorkerError: Another worker no longer answers.
        """
        directory = RunDirectory(self.run_dir or "")

        def opened_for(num_replicas: int) -> Opened[PretrainingConfig, Source]:
            directory.check(config)
            self._check_first(config)
            source = training_images(config.data)
            task.check_fit(config, source, num_replicas)
            return Opened(config, source, task.identity(source))

        with begun_run(self.devices, directory, opened_for) as (strategy, opened):
            summarize(opened.data)  # raises if the images teach nothing, on every worker
            log_options = functools.partial(self._log_options, config, opened.data)
            result = task.pretrain(config, opened.data, directory, strategy, log_options)
            has_whitening = config.backbone.features == all_stages.NAME
            if has_whitening and result.stopped_by is None and is_chief(strategy):
                keep_whitened_stages(directory, opened.data)
            return result

    def _check_method(self, directory: RunDirectory) -> None:
        if self.method not in (None, begun := directory.method()):
            raise InputError(
                f"{directory.path} holds a run of {begun}; leave out `method={self.method}` to continue it, or give "
                "another `run_dir`"
            )

    def _check_without_auto(self, start: PretrainingConfig) -> None:
        if self.method is not None:
            raise InputError(
                f"`method={self.method}` works only with `recipe={AUTO}`; leave it out, since this config is one of "
                f"{start.method}"
            )
        for name, value in (("minutes", self.minutes), ("device_memory_gib", self.device_memory_gib)):
            if value is not None:
                raise InputError(
                    f"`{name}` works only with `recipe={AUTO}`; leave it out, and set the length of "
                    f"{f'`recipe={start.recipe}`' if start.recipe else 'the config'} by `run.num_steps=N`"
                )

    def _derived(self) -> PretrainingConfig:
        method = rules.METHODS[0] if self.method is None else self.method
        kind = rules.find_rules(method).kind
        own = configs.parse(kind, self.assignments)
        named = configs.replace(kind(), own)
        self._check_first(named)
        minutes = derivation.MINUTES if self.minutes is None else self.minutes
        if not minutes >= _LEAST_MINUTES:
            raise InputError(f"`minutes={minutes:g}` must be {_LEAST_MINUTES} or more")
        placement = self.devices.placement(self.devices.cluster())
        source = training_images(named.data)
        colour = functools.partial(self._colour, source)
        derive = Derivation(
            placement, self.devices.strategy, minutes, self.device_memory_gib, self.say, colour, method, self.clock
        )
        return derive.config(source, own)

    def _colour(self, source: Source) -> tuple[float, str]:
        """Returns how well colour tells the classes of the probe's or the training images apart, and a sentence."""
        labelled = source if self.probe_data is None else open_labelled(self.probe_data)
        found = colour_accuracy(labelled)
        if found is None:
            return 0.0, ""
        return found.share, (
            f"colour: histograms classify {percent(found.knn)} of labelled images correctly, where the largest class "
            f"has {percent(found.chance)}"
        )

    def _check_first(self, config: PretrainingConfig) -> None:
        """Checks paths and names, before any image is read.

        Args:
            config: Config of the run. If the config must still be derived from the images, only its paths are set.

        Raises:
            InputError: A path or a name is wrong.
        """
        directory = RunDirectory(self.run_dir) if self.run_dir else None
        if directory is not None:
            directory.check_place()
        check_backbone(config.backbone)
        if self.log_json is not None:
            check_directory(pathlib.Path(self.log_json).parent)
        if config.run.init_from and (directory is None or directory.newest_checkpoint() is None):
            check_network(config.run.init_from)
        if config.backbone.weights and (directory is None or directory.newest_checkpoint() is None):
            check_exists(pathlib.Path(config.backbone.weights))
        with moves_named(directory, "data"):
            check_source(config.data.source)
        if self.probe_data is not None:
            check_source(self.probe_data)
            if absolute(self.probe_data) == absolute(config.data.source):
                raise InputError(
                    f"`probe_data` is the training data, {self.probe_data}; give labelled images that are not in the "
                    "training data"
                )

    def _log_options(self, config: PretrainingConfig, source: Source) -> PretrainingLogOptions:
        """Returns the optional outputs of the log.

        Raises:
            InputError: The probe cannot use its images.
        """
        json_file = pathlib.Path(self.log_json) if self.log_json else None
        if self.probe_data is None:
            conclusion = functools.partial(compared_by_own_labels, source, config) if _is_labelled(source) else None
            return PretrainingLogOptions(json_file, self.profile_steps, self.on_log, conclusion=conclusion)
        probe = OnlineProbe(open_labelled(self.probe_data), source, config)
        return PretrainingLogOptions(json_file, self.profile_steps, self.on_log, probe.of, probe.conclusion)


def _is_labelled(source: Source) -> bool:
    return source.labels is not None and has_two_classes(source.labels)


@takes_paths
def pretrain(
    data: Images,
    run_dir: str | os.PathLike[str],
    *,
    backbone: Network | None = None,
    minutes: float | None = None,
    recipe: str = AUTO,
    method: str | None = None,
    config: PretrainingConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    probe_data: str | os.PathLike[str] | None = None,
    num_devices: int | None = None,
    on_log: OnLog | None = None,
) -> Run:
    """Pretrains a backbone on images without labels. The same call continues a run that was stopped.

    Args:
        data: Images: a folder, a data spec as for the command, a NumPy array uint8 `[N, h, w, 3]` or a
            `tf.data.Dataset` of images. Arrays and datasets are written into the run directory as shards.
        run_dir: Directory of a new run or one to continue.
        backbone: Functional Keras model from images `[B, h, w, 3]` to a map `[B, h, w, C]`, or a name as for
            `backbone.variant`. The weights of a model are those that the run starts from.
        minutes: Time for finding the settings and training, in minutes, with recipe auto; 45 if None.
        recipe: Name of a recipe; auto derives the config from the images, this machine and the time.
        method: Method for recipe auto: swav, simclr, moco or byol; swav if None.
        config: Config in place of a recipe.
        settings: Fields of the config to set, by `section.field`.
        probe_data: Folder or data spec of labelled images, outside the training data, for k-NN and a linear probe
            during the run.
        num_devices: Number of devices in this host; if None, all GPUs, or one device without GPUs.
        on_log: Function that receives the step, and the numbers by name, every `run.log_every_steps` steps.

    Returns:
        The run, also if a signal stopped it early.

    Raises:
        InputError: An argument is wrong, or the run fails a health check.
    """
    if threading.current_thread() is not threading.main_thread():
        raise InputError("pretrain runs in the main thread only, which alone can answer signals; call it there")
    if config is not None and recipe != AUTO:
        raise InputError(f"`config` and `recipe={recipe}` are both given; leave one of them out")
    start = registry.recipe(recipe) if recipe != AUTO else config
    directory = os.fspath(run_dir)
    run_directory = RunDirectory(directory)
    with variant_of_run(backbone, run_directory) as variants, spec_of_run(data, run_directory) as spec:
        values = {**(settings or {}), **variants, "data.source": spec}
        request = Pretraining(
            start=start,
            method=method,
            assignments=[f"{field}={configs.format_value(value)}" for field, value in values.items()],
            run_dir=directory,
            minutes=minutes,
            devices=Devices(num_devices=num_devices),
            on_log=on_log,
            probe_data=None if probe_data is None else os.fspath(probe_data),
        )
        outcome = request.run(request.config())
    return Run(directory, stopped_by=outcome.stopped_by)
