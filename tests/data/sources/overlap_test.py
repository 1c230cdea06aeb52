"""Images that two sources share are found by their bytes, under any file names."""

import pathlib

from seer_tf.data.sources.builtin import render_image
from seer_tf.data.sources.overlap import find_shared_images
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection


def test_a_copy_under_another_name_is_found(tmp_path: pathlib.Path) -> None:
    for index in range(4):
        (tmp_path / f"{index}.jpg").write_bytes(render_image("train", index)[0])
    training = open_source(f"folder:{tmp_path}")
    probe = open_source("builtin")
    assert find_shared_images(Selection(probe, range(20, 30)), training) == {}
    assert find_shared_images(Selection(probe, (20, 2, 21, 0)), training) == {1: "2.jpg", 3: "0.jpg"}
    (tmp_path / "0.jpg").unlink()  # a missing image equals no other image
    assert find_shared_images(Selection(probe, (0, 20)), training) == {}
