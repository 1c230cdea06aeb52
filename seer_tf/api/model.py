"""A trained network, and the run that it comes from."""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from seer_tf.api import tables
from seer_tf.api.evaluation import evaluate
from seer_tf.api.exporting import Export, export
from seer_tf.api.features import Features
from seer_tf.api.images import Images, as_data
from seer_tf.config import PretrainingConfig
from seer_tf.data.sources.registry import name_of, open_source
from seer_tf.data.sources.usable import usable
from seer_tf.evaluation.features.feature_set import Extractor
from seer_tf.evaluation.features.request import BATCH_SIZE, FeatureRequest
from seer_tf.evaluation.protocols import online_probe
from seer_tf.evaluation.result import EvaluationResult
from seer_tf.files.system_errors import takes_paths
from seer_tf.methods.swav.metrics import RELATIVE_LOSS
from seer_tf.models import Backbone
from seer_tf.networks.load import check_network, load_network
from seer_tf.networks.network import Network
from seer_tf.networks.pretrained import read_config
from seer_tf.reports.curves import Curves, read_events
from seer_tf.reports.learning_curve import learning_curve
from seer_tf.training.metrics import IMAGES_PER_SECOND, RANK_ME
from seer_tf.training.run_directory import RunDirectory

_SHOWN = {
    RELATIVE_LOSS: "loss / ln K",
    RANK_ME: "RankMe",
    online_probe.KNN: "k-NN",
    online_probe.LINEAR: "linear probe",
    IMAGES_PER_SECOND: "images/s",
}


class Model:
    """A trained network on this machine. Its weights are read when they are first needed.

    Functions that accept the path of a model also accept the model itself.

    Attributes:
        path: A run, one of its checkpoints, a conversion, or a `.keras` file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Takes the path of the network; user code calls `load` instead."""
        self.path = os.fspath(path)
        self._extractors: dict[FeatureRequest, Extractor] = {}

    def __fspath__(self) -> str:
        """Returns the path."""
        return self.path

    @functools.cached_property
    def network(self) -> Network:
        """The network with its metadata."""
        return load_network(self.path)

    @property
    def backbone(self) -> Backbone:
        """The Keras model from normalised crops `[B, h, w, 3]` to the last stage `[B, h', w', C]`."""
        return self.network.backbone

    @takes_paths
    def features(
        self,
        images: Images,
        *,
        stage: str | None = None,
        size_px: int | None = None,
        squash: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> Features:
        """Returns the features of images after the model's own transform, with batch norm in inference mode.

        Args:
            images: A folder, a data spec, uint8 `[N, h, w, 3]` (or a pair of these and labels), or a
                `tf.data.Dataset` of images.
            stage: avgpool for the pooled last stage; res2, res3 … pooled as in VISSL; all_stages for whitened
                statistics of every stage; None for what the run names as its own (`backbone.features`).
            size_px: Side of the square that the network sees, in pixels; the model's own if None.
            squash: Whether whole images are squeezed into the square instead of cropped.
            batch_size: Number of images in a batch.

        Raises:
            InputError: The images cannot be read, or the model has no such stage.
        """
        data = as_data(images)
        request = FeatureRequest(
            self.path, stages=tuple(filter(None, [stage])), size_px=size_px, squash=squash, batch_size=batch_size
        )
        source = usable(open_source(data))
        if request not in self._extractors:
            self._extractors[request] = request.extractor()
        found = self._extractors[request].extract(source, name_of(data))
        (rows,) = found.rows.values()
        return Features(list(found.ids), rows[:], found.labels, found.class_names)

    def evaluate(self, **options: Any) -> EvaluationResult:
        """Evaluates the network; see `seer_tf.evaluate`."""
        return evaluate(self, **options)

    def export(self, output_dir: str | os.PathLike[str], **options: Any) -> Export:
        """Exports the network for use elsewhere; see `seer_tf.export`."""
        return export(self, output_dir, **options)

    def __repr__(self) -> str:
        """Returns kind and path."""
        return f"<{type(self).__name__} {self.path}>"

    def _repr_html_(self) -> str:
        """Returns the metadata of the network as a table."""
        return tables.facts({"model": self.path, **_texts(self.network.metadata)})


class Run(Model):
    """A pretraining run, finished or not.

    Attributes:
        path: Run directory.
        stopped_by: Name of the signal that stopped the run early; None if no signal stopped it.
    """

    def __init__(self, path: str | os.PathLike[str], stopped_by: str | None = None) -> None:
        """Takes the path of a run directory; user code calls `pretrain` or `load` instead."""
        super().__init__(path)
        self.stopped_by = stopped_by

    @functools.cached_property
    def config(self) -> PretrainingConfig:
        """Config of the run."""
        return read_config(RunDirectory(self.path))

    @property
    def steps(self) -> Sequence[int]:
        """Steps that have a checkpoint, the earliest first."""
        return RunDirectory(self.path).checkpoint_steps()

    @property
    def curves(self) -> Curves:
        """Numbers of the log: values by name and step."""
        return read_events(RunDirectory(self.path).tensorboard)

    def __repr__(self) -> str:
        """Returns the path and the progress of the run."""
        return f"<Run {self.path}, {self._progress()}>"

    def _repr_html_(self) -> str:
        """Returns the curve of the loss, and the last numbers as a table."""
        curves = self.curves
        last = {label: f"{list(curves[name].values())[-1]:.4g}" for name, label in _SHOWN.items() if name in curves}
        numbers = tables.facts({"run": self.path, "progress": self._progress(), **last})
        if RELATIVE_LOSS not in curves:
            return numbers
        points = sorted(curves[RELATIVE_LOSS].items())
        return tables.figure(learning_curve(points, x_label="step", y_label=_SHOWN[RELATIVE_LOSS])) + numbers

    def _progress(self) -> str:
        made = self.steps[-1] if self.steps else 0
        stopped = f", stopped by {self.stopped_by}" if self.stopped_by else ""
        return f"step {made:,} of {self.config.run.num_steps:,}{stopped}"


@takes_paths
def load(path: str | os.PathLike[str]) -> Model:
    """Opens a trained network.

    Args:
        path: A run, one of its checkpoints (`RUN/checkpoints/step-500`), a directory that `convert_checkpoint` wrote,
            or a `.keras` file.

    Returns:
        A `Run` if the path is the directory of a pretraining run, otherwise a `Model`.

    Raises:
        InputError: There is no network at the path. What its files hold is seen when the weights are first needed.
    """
    place = os.path.expanduser(os.fspath(path))
    check_network(place)
    directory = RunDirectory(place)
    is_run = directory.holds_a_run() and directory.kind() == PretrainingConfig.kind
    return Run(place) if is_run else Model(place)


def _texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {name.replace("_", " "): str(value) for name, value in metadata.items() if value is not None}
