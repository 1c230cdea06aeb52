"""The demo's shards."""

from PIL import Image

from seer_tf.api.train_and_test import train_and_test
from seer_tf.cli.demo_images import pictures, sharded
from tests.noise_images import write_classes


def test_shards_hold_small_images_and_the_number_of_files_left_out_is_printed(tmp_path, capsys):
    """The alpha channel of an image is blended over white, and a truncated image is counted as left out."""
    write_classes(tmp_path / "images", {"a": 3})
    Image.new("RGBA", (300, 200), (255, 240, 0, 0)).save(tmp_path / "images" / "a" / "clear.png")
    whole = (tmp_path / "images" / "a" / "001.png").read_bytes()
    (tmp_path / "images" / "a" / "001.png").write_bytes(whole[: len(whole) // 2])
    train, _ = train_and_test(str(tmp_path / "images"))
    made = sharded(train, tmp_path / "shards")
    assert "files left out: 1," in capsys.readouterr().out
    (clear,) = (image for image in pictures(made) if max(image.shape) > 30)
    assert clear.shape == (85, 128, 3) and clear.min() >= 254
