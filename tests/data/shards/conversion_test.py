"""Images that shards cannot hold as they are: they are converted, counted and named."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.shards import prepare
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources import registry, shards
from seer_tf.errors import InputError
from seer_tf.parallel import LocalRunner
from seer_tf.reports.audit import write_audit
from tests.data.images import icc
from tests.data.shards.photos import photo


def test_other_formats_and_profiles_are_converted_counted_and_named(tmp_path: pathlib.Path) -> None:
    """All other images keep their bytes. The summary names every conversion, and so does the page."""
    images, wide = tmp_path / "images", icc.rgb_profile(icc.DISPLAY_P3, 2.2, "Display P3")
    for name in ("cat", "dog", "cat/@eaDir"):
        (images / name).mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(0).save(images / "cat" / "0.jpg", icc_profile=wide, quality=95)
    photo(1).save(images / "cat" / "1.tif", save_all=True, append_images=[photo(9)])
    photo(2).save(images / "dog" / "2.jpg", exif=exif)
    photo(3).save(images / "dog" / "3.bmp")
    photo(4).quantize(16).save(images / "dog" / "4.bmp")
    Image.fromarray(np.arange(6000, dtype=np.uint16).reshape(60, 100)).save(images / "dog" / "5.png")
    photo(6).save(images / "cat" / "@eaDir" / "6.jpg")
    source = registry.open_source(f"folder:{images}", to_prepare=True)
    audit = prepare.write_shards(source, str(tmp_path / "out"), ShardOptions(), run=LocalRunner(1), shard_bytes=2500)
    assert audit.num_shards > 1
    converted = (tmp_path / "out" / "converted.tsv").read_text().splitlines()[1:]
    assert {name: done.partition(";")[0] for name, _, done in (line.partition("\t") for line in converted)} == {
        "cat/0.jpg": "converted to sRGB: Display P3",
        "cat/1.tif": "TIFF stored as PNG",
        "dog/4.bmp": "BMP stored as PNG",
    }
    stored = shards.open_shards(str(tmp_path / "out"))
    for number, name in enumerate(stored.ids):
        is_kept = stored.read(number) == (images / name).read_bytes()
        assert is_kept == (name in ("dog/2.jpg", "dog/3.bmp", "dog/5.png"))
        pixels = tf.io.decode_image(stored.read(number), channels=3).numpy().astype(int)
        if name == "cat/1.tif":
            assert (pixels == np.asarray(photo(1))).all()
        if name == "cat/0.jpg":
            assert np.abs(pixels - icc.to_srgb(np.asarray(photo(0)), icc.DISPLAY_P3, 2.2)).mean() < 3
    for piece in (
        "formats: BMP 2, JPEG 2, ",
        "stored as: PNG 3, JPEG 2, BMP 1",
        "colour profiles: Display P3 1",
        "bits: 16 1",
        "turned by their orientation: 6 1",
        "several pictures in a file: the first of several 1",
        "2 classes: dog 4, cat 2",
        "1 converted: converted to sRGB",
        "1 converted: first frame taken",
        "1 rejected: in a folder of a system or tool",
    ):
        assert piece in audit.text()
    write_audit(audit, str(tmp_path / "out"), str(tmp_path / "audit.html"))
    assert "<li>colour profiles: Display P3 1</li>" in (tmp_path / "audit.html").read_text()


def test_without_shards_the_log_counts_images_to_convert_and_names_the_remedy(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo(0).save(tmp_path / "0.jpg", icc_profile=icc.rgb_profile(icc.DISPLAY_P3, 2.2, "Display P3"))
    photo(1).save(tmp_path / "1.tif")
    assert list(registry.open_source(f"folder:{tmp_path}").ids) == ["0.jpg"]
    assert "1 of 2 files left out (1.tif: TIFF is not a supported format); make shards of the images" in caplog.text
    assert "the colour profiles of 1 image are not applied (Display P3 1); make shards of the images" in caplog.text
    (tmp_path / "0.jpg").unlink()
    with pytest.raises(InputError, match=r"no readable image among 1 file \(1.tif: .*\); make shards of the images"):
        registry.open_source(f"folder:{tmp_path}")
