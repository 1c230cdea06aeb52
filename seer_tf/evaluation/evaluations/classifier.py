"""The classifier of a network, for evaluations that fit nothing."""

import os
from pathlib import Path

from seer_tf.distributed.inference import InferenceDevices
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import model_digest
from seer_tf.evaluation.features.feature_set import Extractor
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.features.stages import Pooling
from seer_tf.networks.load import check_network, load_network
from seer_tf.networks.network import Network

#: Name of the logits, where other extractors have stages.
LOGITS = "logits"


def opened_classifier(
    features: FeatureRequest, class_names: str | os.PathLike[str] | None = None
) -> tuple[Network, Extractor]:
    """Returns a network with its classifier, and the extractor of its `LOGITS`.

    Args:
        features: Request with a model.
        class_names: File with one class name per line; None for the classifier's own.

    Raises:
        InputError: The model is missing, cannot be read or has no classifier.
    """
    if features.model is None:
        raise InputError("`model` is missing; give a network with a classifier")
    check_network(features.model)
    devices = InferenceDevices.of_this_host()
    with devices.scope():
        network = load_network(features.model)
        if class_names is not None:
            network = network.with_class_names(Path(class_names))
        network = network.selected("classifier")
    classifier = network.classifier
    assert classifier is not None  # `selected` raises an error for a network without one
    extractor = Extractor(
        lambda images: {LOGITS: classifier(network.features(network.normalize(images), training=False))},
        {LOGITS: Pooling(1, 1, len(network.class_names))},
        features.model,
        model_digest(network),
        network.transform,
        features.batch_size,
        devices,
        network.metadata.get("training_steps"),
    )
    return network, extractor
