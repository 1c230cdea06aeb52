"""The demo's images: the held-out part, what counts as labelled, and the shrinking of large files."""

import io
from pathlib import Path

from experiments.demo_images import SHORTER_SIDE_PX, SmallImages, demo_images, pictures

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.decode import reject_reason
from seer_tf.data.sources import open_source
from seer_tf.errors import InputError


def _tree(root: Path, classes: dict[str, int], side_px: tuple[int, int] = (20, 30)) -> str:
    generator = np.random.default_rng(0)
    for name, num_images in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(num_images):
            pixels = generator.integers(0, 256, [*side_px, 3], np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:03d}.png")
    return str(root)


def test_a_fifth_of_each_class_is_held_out(tmp_path):
    """No image is in both parts, and none is lost."""
    train, test = demo_images(_tree(tmp_path / "with a space", {"a": 20, "b": 10}))
    assert test is not None and train.class_names == test.class_names == ("a", "b")
    assert not set(train.ids) & set(test.ids)
    assert len(set(train.ids) | set(test.ids)) == 30
    for part, num_images in ((train, [16, 8]), (test, [4, 2])):
        assert part.labels is not None
        assert np.bincount(part.labels).tolist() == num_images
        assert ["ab"[label] for label in part.labels] == [name.split("/")[0] for name in part.ids]
        assert part.read(1) == (tmp_path / "with a space" / part.ids[1]).read_bytes()


@pytest.mark.parametrize("classes", [{"one folder": 12}, {"a": 20, "b": 9}])
def test_without_classes_or_with_hardly_any_images_of_one_nothing_is_held_out(tmp_path, classes):
    """All images are trained on, and nothing says what they are."""
    train, test = demo_images(_tree(tmp_path, classes))
    assert test is None and train.labels is None and train.class_names is None
    assert train.num_images == sum(classes.values())


def test_a_missing_directory_is_refused(tmp_path):
    """By the name that was given."""
    with pytest.raises(InputError, match="nowhere"):
        demo_images(str(tmp_path / "nowhere"))


def test_large_images_are_made_small_upright_and_stay_images(tmp_path):
    """A photograph on its side: red above once it is upright. Small and broken files come back as they are."""
    sideways = np.zeros([600, 800, 3], np.uint8)
    sideways[:, :400, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(sideways).save(tmp_path / "large.jpg", exif=exif)
    Image.fromarray(sideways[:50, :60]).save(tmp_path / "small.png")
    large, small = range(2)
    images = SmallImages(open_source(f"folder:{tmp_path}"))
    shrunk = Image.open(io.BytesIO(images.read(large)))
    assert shrunk.size == (SHORTER_SIDE_PX, round(SHORTER_SIDE_PX * 800 / 600))
    assert reject_reason(images.read(large)) is None
    upright = pictures(images)[large]
    assert upright[5, :, 0].min() > 200 and upright[-5, :, 0].max() < 50
    assert images.read(small) == (tmp_path / "small.png").read_bytes()
    broken = (tmp_path / "large.jpg").read_bytes()[:900]
    (tmp_path / "large.jpg").write_bytes(broken)
    assert images.read(large) == broken
