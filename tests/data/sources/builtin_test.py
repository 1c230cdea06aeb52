"""The built-in images: always the same, with classes that only the cues reveal."""

import hashlib
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.sources import builtin
from seer_tf.errors import InputError


def test_rendering_is_the_same_in_another_process():
    program = (
        "import hashlib; from seer_tf.data.sources.builtin import render_image; "
        "print(hashlib.sha256(b''.join(render_image('train', i)[0] for i in range(24))).hexdigest())"
    )
    # The other process has another hash seed, so the order of a set must not matter.
    elsewhere = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    files = {index: builtin.render_image("train", index)[0] for index in reversed(range(24))}
    assert elsewhere.stdout.strip() == hashlib.sha256(b"".join(files[index] for index in range(24))).hexdigest()


def test_images_are_ordinary_jpeg_files():
    for split in ("train", "test"):
        encoded, label = builtin.render_image(split, 3)
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (builtin.SIDE_PX, builtin.SIDE_PX))
        assert isinstance(label, int)


def test_no_image_occurs_twice_in_or_between_splits():
    files = [builtin.render_image(split, index)[0] for split in ("train", "test") for index in range(200)]
    assert len(set(files)) == len(files)


@pytest.mark.parametrize("split", ["train", "test"])
def test_classes_are_equally_many(split):
    labels = [builtin.render_image(split, index)[1] for index in range(10 * builtin.NUM_CLASSES)]
    assert np.bincount(labels).tolist() == [10] * builtin.NUM_CLASSES
    assert builtin.num_images(split) % builtin.NUM_CLASSES == 0
    assert len(set(builtin.class_names)) == builtin.NUM_CLASSES


def test_all_traits_except_the_cues_are_independent_of_the_class(monkeypatch):
    scenes = []
    photograph = builtin._photograph

    def recorded(rng: np.random.Generator, scene: builtin.Scene, picture: np.ndarray) -> np.ndarray:
        scenes.append(scene)
        return photograph(rng, scene, picture)

    monkeypatch.setattr(builtin, "_photograph", recorded)
    labels = np.array([builtin.render_image("train", index)[1] for index in range(1200)])
    traits = {
        "position": [scene.centres[:, 0].mean() - scene.centres[:, 1].mean() for scene in scenes],
        "scale of the pieces": [scene.radii.mean() for scene in scenes],
        "scale of the pattern": [scene.period_px for scene in scenes],
        "rotation of the pieces": [np.cos(scene.angles).sum() for scene in scenes],
        "rotation of the pattern": [np.cos(2 * scene.pattern_angle) for scene in scenes],
        "background hue": [np.cos(2 * np.pi * scene.cloth_hsv[0]) for scene in scenes],
        "background tone": [scene.cloth_hsv[2] for scene in scenes],
        "drift of colours": [scene.drifts.mean() for scene in scenes],
        "strength of light": [scene.light.mean() for scene in scenes],
        "tint of light": [scene.light[0] / scene.light[2] for scene in scenes],
        "direction of light": [scene.light_slope[0] for scene in scenes],
    }
    for trait, values in traits.items():
        # The variance times the number of images is nearly chi-squared with 7 degrees of freedom. It exceeds 28 once in
        # 5,000.
        assert _variance_between_classes(np.array(values), labels) < 28 / len(labels), trait


def test_each_cue_agrees_with_the_class_in_some_images():
    rng = np.random.default_rng(0)
    labels = np.arange(8000) % builtin.NUM_CLASSES
    owners = np.array([builtin.draw_cues(rng, int(label)) for label in labels])
    agrees = owners == labels[:, None]
    assert (agrees.sum(axis=1) == 2).all()
    np.testing.assert_allclose(agrees.mean(axis=0), [0.5, 0.75, 0.75], atol=0.02)


def test_the_cues_together_always_tell_the_class():
    rng = np.random.default_rng(1)
    classes: dict[tuple[str, int, int], set[int]] = {}
    for label in np.arange(20_000) % builtin.NUM_CLASSES:
        palette, pattern, shape = builtin.draw_cues(rng, int(label))
        classes.setdefault((builtin.PALETTES[palette], pattern, shape), set()).add(int(label))
    assert all(len(labels) == 1 for labels in classes.values())


def test_colours_and_thumbnails_reveal_little_of_the_class():
    bank, bank_labels = _pixels("train", 1500)
    queries, labels = _pixels("test", 320)
    for summary in (_histogram, _thumbnail):
        correct = _nearest(summary(bank), bank_labels, summary(queries)) == labels
        assert 1 / builtin.NUM_CLASSES < correct.mean() < 0.42, summary.__name__


def test_wrong_split_or_index_is_refused():
    with pytest.raises(InputError, match="did you mean 'train'"):
        builtin.num_images("trian")
    with pytest.raises(InputError, match="but not 1000"):
        builtin.render_image("test", 1000)


def _variance_between_classes(values: np.ndarray, labels: np.ndarray) -> float:
    means = np.array([values[labels == label].mean() for label in range(builtin.NUM_CLASSES)])
    return float(np.var(means[labels]) / np.var(values))


def _pixels(split: str, num: int) -> tuple[np.ndarray, np.ndarray]:
    files, labels = zip(*(builtin.render_image(split, index) for index in range(num)), strict=True)
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files]), np.array(labels)


def _histogram(images: np.ndarray) -> np.ndarray:
    bins = (images // 32).astype(int) @ (64, 8, 1)
    return np.sqrt([np.bincount(image.ravel(), minlength=512) for image in bins])


def _thumbnail(images: np.ndarray) -> np.ndarray:
    side = builtin.SIDE_PX // 8
    return images.reshape(len(images), 8, side, 8, side, 3).mean(axis=(2, 4)).reshape(len(images), -1) - 128


def _nearest(bank: np.ndarray, bank_labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    bank, queries = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (bank, queries))
    nearest = np.argsort(-queries @ bank.T, axis=1)[:, :20]
    return np.array([np.bincount(bank_labels[row]).argmax() for row in nearest])
