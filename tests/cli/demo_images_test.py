"""The demo's images: the held-out part and the labels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seer_tf.cli.demo_images import demo_images, pictures, sharded
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
    """No image is in both parts, and no image is lost."""
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
def test_nothing_is_held_out_without_classes_or_if_a_class_has_too_few_images(tmp_path, classes):
    """The demo trains on all images and has no labels."""
    train, test = demo_images(_tree(tmp_path, classes))
    assert test is None and train.labels is None and train.class_names is None
    assert train.num_images == sum(classes.values())


def test_a_missing_directory_is_refused(tmp_path):
    """The error names the directory as the user gave it."""
    with pytest.raises(InputError, match="nowhere"):
        demo_images(str(tmp_path / "nowhere"))


def test_shards_hold_small_images_and_the_number_of_files_left_out_is_printed(tmp_path, capsys):
    """The alpha channel of an image is blended over white, and a truncated image is counted as left out."""
    _tree(tmp_path / "images", {"a": 3})
    Image.new("RGBA", (300, 200), (255, 240, 0, 0)).save(tmp_path / "images" / "a" / "clear.png")
    whole = (tmp_path / "images" / "a" / "001.png").read_bytes()
    (tmp_path / "images" / "a" / "001.png").write_bytes(whole[: len(whole) // 2])
    train, _ = demo_images(str(tmp_path / "images"))
    made = sharded(train, tmp_path / "shards")
    assert "files left out: 1," in capsys.readouterr().out
    (clear,) = (image for image in pictures(made) if max(image.shape) > 30)
    assert clear.shape == (85, 128, 3) and clear.min() >= 254
