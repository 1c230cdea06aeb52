"""Distances between places, the tables that name places, and the shares of photos within distances."""

import pathlib
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import seer_tf
from seer_tf.errors import InputError
from seer_tf.evaluation.protocols.geolocation import distances_km, read_places
from seer_tf.models import RegNetY
from seer_tf.models.tasks.classifier import ImageClassifier

_PARIS, _LONDON, _SYDNEY = (48.8566, 2.3522), (51.5074, -0.1278), (-33.8688, 151.2093)


def test_distances_equal_the_angle_between_vectors() -> None:
    """The angle comes from unit vectors in space. A degree along the equator is 111.195 km."""
    random = np.random.default_rng(0)
    places, others = (np.stack([random.uniform(-90, 90, 200), random.uniform(-180, 180, 200)], axis=1) for _ in "ab")

    def vectors(degrees: np.ndarray) -> np.ndarray:
        latitude, longitude = np.radians(degrees).T
        return np.stack(
            [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
        )

    one, other = vectors(places), vectors(others)
    angles = np.arctan2(np.linalg.norm(np.cross(one, other), axis=1), (one * other).sum(axis=1))
    np.testing.assert_allclose(distances_km(places, others), 6371.0088 * angles, rtol=1e-9)
    known = distances_km(np.array([(0, 0), (0, 179.5), (90, 0)]), np.array([(0, 1), (0, -179.5), (-90, 77)]))
    np.testing.assert_allclose(known, [111.195, 111.195, 20015.115], atol=0.001)
    assert distances_km(np.array([_PARIS]), np.array([_LONDON]))[0] == pytest.approx(343.6, abs=0.5)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    """Photos in two colours, a classifier that tells them apart, and tables of places."""
    (tmp_path / "photos").mkdir()
    for name, color in (("1.png", "red"), ("2.png", "red"), ("3.png", "blue"), ("4.png", "blue")):
        Image.new("RGB", (40, 40), color).save(tmp_path / "photos" / name)
    backbone = RegNetY("90MF", stem_stride=1)
    model = ImageClassifier(
        backbone, keras.layers.Dense(2), (0.5,) * 3, (0.5,) * 3, ("paris", "sydney"), transform={"size_px": 32}
    )
    pixels = np.zeros([2, 32, 32, 3], np.uint8)
    pixels[0, ..., 0] = pixels[1, ..., 2] = 255
    red, blue = np.asarray(model.features(model.normalize(pixels)))
    kernel = np.stack([red - blue, blue - red], axis=1)
    model.classifier.set_weights([kernel, -((red + blue) / 2) @ kernel])
    model.save(tmp_path / "classifier.keras")
    (tmp_path / "cells.csv").write_text(
        f"cell,latitude,longitude\nparis,{_PARIS[0]},{_PARIS[1]}\nsydney,-33.8688,151.2093\n"
    )
    (tmp_path / "places.csv").write_text(
        "lon;lat;file\n2.3522;48.8566;1.png\n-0.1278;51.5074;2.png\n151.2093;-33.8688;3.png\n2.3522;48.8566;4.png\n"
    )
    return tmp_path


def test_shares_of_photos_within_distances(place: pathlib.Path) -> None:
    """Two photos are in their cell, one is as far off as London from Paris, and one as far as Paris from Sydney."""
    found = seer_tf.evaluate(
        place / "classifier.keras",
        test=f"folder:{place / 'photos'}",
        protocol="geolocation",
        cells=place / "cells.csv",
        places=place / "places.csv",
        results=place / "results.jsonl",
    )
    assert found.details["within_km"] == {"1": 0.5, "25": 0.5, "200": 0.5, "750": 0.75, "2500": 0.75}
    assert (found.metric, found.value, found.num_classes, found.num_test_images) == ("within 25 km", 0.5, 2, 4)
    assert found.details["median_km"] == pytest.approx(343.6 / 2, abs=0.5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,latitude\na,1\n", "has no column longitude; its columns are name, latitude"),
        ("latitude,longitude\n1,1\n", "has no column of names"),
        ("name,latitude,longitude\na,1,2\na,1,2\n", "line 3 names a again"),
        ("name,latitude,longitude\na,91,2\n", "line 2, column latitude holds '91', which is not from -90 to 90"),
        ("name,latitude,longitude\na,1,x\n", "line 2, column longitude holds 'x'"),
        ("name,latitude,longitude\nc,1,2\n", "has no place for 1 of 1 names, the first a"),
    ],
)
def test_bad_tables_get_one_sentence(text: str, sentence: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_places(str(tmp_path / "table.csv"), ["a"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train": "builtin"}, "fits nothing"),
        ({"test": None}, "fits nothing"),
        ({"squash": True}, "does not use `squash`"),
    ],
)
def test_bad_requests_get_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        seer_tf.evaluate(
            **{"model": "x", "test": "builtin:test", "protocol": "geolocation", "cells": "c", "places": "p", **changes}
        )
