"""Names without a suffix stand for the only image file of that name."""

import pytest

from seer_tf.data.sources import suffixes


@pytest.mark.parametrize(
    ("files", "name", "expected"),
    [
        (["17.jpg"], "17", "17.jpg"),
        (["17.JPG"], "17", "17.JPG"),
        (["a/17.png", "17.jpg"], "a/17", "a/17.png"),
        (["17.jpg", "17.png"], "17", "17"),
        (["17", "17.jpg"], "17", "17"),
        (["17.txt"], "17", "17"),
        (["17.b.jpg"], "17.b", "17.b"),
    ],
)
def test_the_only_image_file_counts(tmp_path, files, name, expected):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert suffixes.completed(str(tmp_path), name) == expected


def test_urls_are_not_asked():
    assert suffixes.completed("http://localhost:1/photos", "17") == "17"
