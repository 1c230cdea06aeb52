"""k-NN equals an oracle from its equations and scikit-learn, and keeps its invariants."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.neighbors import KNeighborsClassifier

from seer_tf.errors import InputError
from seer_tf.evaluation.protocols import knn
from seer_tf.evaluation.protocols.knn import knn_accuracy, knn_correct, nearest
from seer_tf.evaluation.result import mean_interval
from tests.references.knn import knn_predictions

_KS = (1, 3, 10, 40)
_NUM_CLASSES = 5


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bank, bank labels, queries and query labels, in several pieces each. Lengths differ, and classes overlap."""
    monkeypatch.setattr(knn, "_QUERY_BYTES", 25 * 8 * 4)
    monkeypatch.setattr(knn, "_BANK_BYTES", 27 * 8 * 4)
    monkeypatch.setattr(knn, "_SIMILARITIES", 27 * 16)
    generator = np.random.default_rng(3)
    centres = generator.normal(size=[_NUM_CLASSES, 8])
    bank_labels, query_labels = (generator.integers(0, _NUM_CLASSES, size) for size in (100, 60))
    bank, queries = (centres[y] + generator.normal(0, 1.5, [len(y), 8]) for y in (bank_labels, query_labels))
    bank *= generator.uniform(0.1, 10, [100, 1])
    return bank.astype(np.float32), bank_labels, queries.astype(np.float32), query_labels


def test_weighted_votes_equal_the_oracle(features):
    """The weights decide at this temperature.

    The test fails if the similarity is not the cosine, or if weights or chunks are lost.
    """
    bank, bank_labels, queries, query_labels = features
    accuracies = knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=_KS, temperature=0.07)
    assert sorted(accuracies) == sorted(_KS)
    for k in _KS:
        oracle = knn_predictions(bank, bank_labels, queries, k=k, temperature=0.07, num_classes=_NUM_CLASSES)
        assert accuracies[k] == pytest.approx(np.mean(oracle == query_labels))
    assert accuracies[40] != knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=[40], temperature=np.inf)[40]


def test_unweighted_votes_equal_scikit_learn(features):
    """All neighbours have the same weight at an infinite temperature."""
    bank, bank_labels, queries, query_labels = features
    accuracies = knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=_KS, temperature=np.inf)
    for k in _KS:
        reference = KNeighborsClassifier(k, metric="cosine").fit(bank, bank_labels)
        assert accuracies[k] == pytest.approx(reference.score(queries, query_labels))


def test_nearest_is_sorted_and_prefers_the_earlier_of_equals(features):
    """The bank holds every image twice, in different chunks.

    All values are signs, so equal images are equal to the bit.
    """
    signs = np.sign(features[0][:, :4])
    bank, queries = np.concatenate([signs, signs]), np.sign(features[2][:, :4])
    similarities, positions = nearest(bank, queries, 50)
    expected = queries @ bank.T / 4
    order = np.argsort(-expected, axis=1, kind="stable")[:, :50]
    np.testing.assert_array_equal(positions, order)
    np.testing.assert_array_equal(similarities, np.take_along_axis(expected, order, axis=1))


def test_an_image_is_nearest_to_itself(features):
    """This holds even if its features are a hundred times as long."""
    bank = features[0]
    similarities, positions = nearest(bank, 100 * bank, 1)
    np.testing.assert_array_equal(positions[:, 0], np.arange(len(bank)))
    np.testing.assert_allclose(similarities, 1.0, rtol=1e-5)


def test_a_low_temperature_does_not_overflow(features):
    """exp(1 / 0.001) exceeds float32."""
    low = knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=[10], temperature=1e-3)
    assert low[10] == pytest.approx(knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=[1])[1], abs=0.05)


def test_ks_larger_than_the_bank_are_left_out(features):
    """If no k is left, an error says so."""
    assert list(knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=(10, 101))) == [10]
    with pytest.raises(InputError, match="needs at least as many training images, and there are 100"):
        knn_accuracy(*features, num_classes=_NUM_CLASSES, ks=(101, 200))
    with pytest.raises(InputError, match="bank with 100 images"):
        nearest(features[0], features[2], 101)


def test_gaussians_give_their_bayes_accuracy_within_the_interval():
    """The two classes are at distance 2, so the best accuracy is Phi(1) = 84.1 %.

    The best rule needs only the side of the origin, and the cosine shows the side.
    """
    generator = np.random.default_rng(11)
    labels = generator.integers(0, 2, 24_000)
    features = generator.normal(size=[24_000, 3]).astype(np.float32)
    features[:, 1] += 2.0 * labels - 1.0
    right = knn_correct(features[:20_000], labels[:20_000], features[20_000:], labels[20_000:], num_classes=2, ks=[200])
    low, high = mean_interval(right[200], seed=0)
    assert low < norm.cdf(1.0) < high and high - low < 0.03


def test_shuffled_labels_give_chance(features):
    """The features depend on the classes, but the labels do not depend on the features."""
    bank, bank_labels, queries, query_labels = features
    shuffled = np.random.default_rng(0).permutation(np.concatenate([bank_labels, query_labels]))
    both = np.concatenate([bank, queries])
    right = knn_correct(both[:60], shuffled[:60], both[60:], shuffled[60:], num_classes=_NUM_CLASSES, ks=[10])[10]
    low, high = mean_interval(right, seed=0)
    assert low < 1 / _NUM_CLASSES < high


def test_features_of_two_models_are_refused(features):
    """The numbers of channels differ."""
    with pytest.raises(InputError, match="8 channels and the queries 7"):
        nearest(features[0], features[2][:, :7], 1)


_MEASURE = """
import json, resource, sys
from pathlib import Path
import numpy as np
from seer_tf.data.images.transform import Transform
from seer_tf.evaluation.features.feature_set import Origin
from seer_tf.evaluation.protocols.knn import knn_accuracy, nearest
from seer_tf.evaluation.features.stages import Pooling
from seer_tf.evaluation.features.store import MANIFEST, FeatureManifest, digest_of_ids, open_features

directory, num_images, num_queries = Path(sys.argv[1]), 1_300_000, 64
ids = list(map(str, range(num_images)))
origin = Origin("", "", Transform(224), {"avgpool": Pooling(1, 1, 7392)}, "")
manifest = FeatureManifest(origin, "npy", "float16", num_images, 9000, ("a", "b"), digest_of_ids(ids))
(directory / MANIFEST).write_text(manifest.to_json())
for shard in range(manifest.num_shards):
    numbers = manifest.numbers(shard)
    images = {"ids": list(map(str, numbers)), "classes": [[n % 2] for n in numbers], "fingerprints": list(numbers)}
    manifest.file(directory, "images", shard, "json").write_text(json.dumps(images))
    file = manifest.file(directory, "avgpool", shard, "npy")
    rows = np.lib.format.open_memmap(file, "w+", np.float16, (len(numbers), 7392))  # a file of holes
    rows[:4, 0], rows[:4, 1] = 1, np.array(numbers[:4]) % 2
bank = open_features(directory)
queries = np.zeros([num_queries, 7392], np.float16)
queries[:, 0], queries[:, 1] = 1, np.arange(num_queries) % 2
labels = np.arange(num_queries) % 2
print(knn_accuracy(bank.rows["avgpool"], bank.labels, queries, labels, num_classes=2))
many = np.ones([20_000, 7392], np.float16)  # more than are in memory at a time
nearest(many[:9_100], many, 200)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_a_bank_as_large_as_imagenet_needs_less_than_4_gib(tmp_path: Path) -> None:
    """The bank has 1.3 million features of 7,392 numbers, which are 18 GiB of files.

    The number of queries is the largest that is held in memory.
    """
    ran = subprocess.run([sys.executable, "-c", _MEASURE, str(tmp_path)], capture_output=True, text=True, timeout=1800)
    assert ran.returncode == 0, ran.stderr
    accuracies, peak_gib = ran.stdout.splitlines()
    assert accuracies == "{10: 1.0, 20: 1.0, 100: 1.0, 200: 1.0}"
    assert float(peak_gib) < 4
