"""Features of all stages: fitted to the images of a run, kept with the run, and the same everywhere."""

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

import seer_tf
from seer_tf import config as configs
from seer_tf.api.model import Run
from seer_tf.cli.demo_findings import findings
from seer_tf.data.sources import builtin
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.features.run_features import own_stage
from seer_tf.evaluation.result import read_file
from seer_tf.models import all_stages
from seer_tf.models.embeddings import unit_norm
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.run_directory import RunDirectory

_SETTINGS = {
    "backbone.features": all_stages.NAME,
    "run.num_steps": 2,
    "run.log_every_steps": 1,
    "run.checkpoint_every_steps": 1,
    "run.steps_per_call": 1,
    "schedule.warmup_steps": 1,
    "swav.freeze_prototypes_steps": 1,
}


def _drawn(directory: pathlib.Path, split: str, num_images: int) -> pathlib.Path:
    """Writes built-in images in folders of two classes."""
    for number in range(num_images):
        image, label = builtin.render_image(split, number)
        (directory / str(label % 2)).mkdir(exist_ok=True)
        (directory / str(label % 2) / f"{number}.jpg").write_bytes(image)
    return directory


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return _drawn(tmp_path_factory.mktemp("photos"), "train", 40)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    encoded = (builtin.render_image("test", number)[0] for number in range(12))
    return np.stack([tf.io.decode_jpeg(image).numpy() for image in encoded])


@pytest.fixture(scope="module")
def run(photos: pathlib.Path) -> Run:
    return seer_tf.pretrain(photos, photos.parent / "run", recipe="debug_tiny", settings=_SETTINGS)


def _begun(directory: pathlib.Path, photos: pathlib.Path) -> str:
    """Returns a run directory without checkpoints, in which only the untrained network can be asked for."""
    assignments = [f"data.source=folder:{photos}", f"backbone.features={all_stages.NAME}"]
    RunDirectory(directory).claim(configs.override(recipe("debug_tiny"), assignments))
    return str(directory)


def test_the_untrained_network_is_whitened_by_the_images_of_the_run(
    tmp_path: pathlib.Path, photos: pathlib.Path
) -> None:
    extractor = FeatureRequest(_begun(tmp_path / "run", photos), untrained=True).extractor()
    assert list(extractor.poolings) == [all_stages.NAME]
    features = extractor.extract(open_source(f"folder:{photos}"), "").rows[all_stages.NAME][:]
    assert features.shape == (40, extractor.poolings[all_stages.NAME].dim)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-3)
    covariance = features.T @ features / 40
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-3)
    assert np.diag(covariance).max() < 1


@pytest.mark.slow
def test_both_kinds_of_features_come_in_one_pass(tmp_path: pathlib.Path, photos: pathlib.Path) -> None:
    request = FeatureRequest(_begun(tmp_path / "run", photos), untrained=True, stages=("avgpool", all_stages.NAME))
    assert list(request.extractor().poolings) == ["avgpool", all_stages.NAME]


def test_a_model_without_a_run_has_no_images_to_fit_to(tmp_path: pathlib.Path) -> None:
    seer_tf.Backbone.from_preset("regnety_90mf").save(tmp_path / "backbone.keras")
    model = str(tmp_path / "backbone.keras")
    assert own_stage(model) == "avgpool"
    with pytest.raises(InputError, match="no pretraining run, so it names no images"):
        FeatureRequest(model, stages=(all_stages.NAME,)).extractor()


def test_images_that_are_gone_are_named(tmp_path: pathlib.Path, photos: pathlib.Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    run_dir = _begun(tmp_path / "run", tmp_path / "photos")
    shutil.rmtree(tmp_path / "photos")
    with pytest.raises(InputError, match=r"all stages are fitted to the run's images: .*photos"):
        FeatureRequest(run_dir, untrained=True).extractor()


@pytest.mark.slow
def test_a_run_keeps_its_whitening(run: Run, photos: pathlib.Path, images: np.ndarray, tmp_path: pathlib.Path) -> None:
    values = run.features(images).values
    kept = sorted(RunDirectory(run.path).all_stages.iterdir())
    assert len(kept) == 2 and values.shape[1] < 256  # fewer images than components
    shutil.copytree(run.path, tmp_path / "elsewhere")
    np.testing.assert_array_equal(seer_tf.load(tmp_path / "elsewhere").features(images).values, values)
    for length in (-40, 0):
        for file in kept:
            copy = tmp_path / "elsewhere" / "all_stages" / file.name
            copy.write_bytes(file.read_bytes()[:length])
        again = seer_tf.load(tmp_path / "elsewhere").features(images).values
        np.testing.assert_allclose(again, values, atol=1e-4)
    earlier = seer_tf.load(pathlib.Path(run.path, "checkpoints", "step-1")).features(images).values
    assert np.abs(earlier[:, :4] - values[:, :4]).max() > 1e-3


@pytest.mark.slow
def test_an_evaluation_takes_the_own_features_and_an_export_serves_them(
    run: Run, photos: pathlib.Path, images: np.ndarray, tmp_path: pathlib.Path
) -> None:
    run.evaluate(train=photos, test=(images, np.arange(12) % 2), results=tmp_path / "results.jsonl")
    (result,) = read_file(tmp_path / "results.jsonl")
    assert "all_stages of " in result.protocol
    seer_tf.export(run, tmp_path / "model", formats=("saved_model", "keras", "litert_float16", "litert_int8", "onnx"))
    side = run.network.size_px
    crops = tf.cast(tf.image.resize(images, [side, side]), tf.uint8)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    served = loaded.serve(crops)
    assert set(served) == {"features", all_stages.NAME}
    expected = run.features(crops.numpy()).values
    np.testing.assert_allclose(unit_norm(served[all_stages.NAME]), unit_norm(expected), atol=1e-4)


@pytest.mark.slow
def test_the_demo_measures_the_features_that_evaluations_measure(
    run: Run, photos: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    test = _drawn(tmp_path, "test", 20)
    sources = (open_source(f"folder:{each}") for each in (photos, test))
    measured = [row.knn for row in findings(RunDirectory(run.path), *sources).accuracies[:2]]
    results = [
        seer_tf.evaluate(run, train=photos, test=test, untrained=untrained, results=tmp_path / "results.jsonl")
        for untrained in (False, True)
    ]
    assert measured == pytest.approx([result.value for result in results])


@pytest.mark.slow
def test_weights_for_pytorch_lack_the_whitening(photos: pathlib.Path, tmp_path: pathlib.Path) -> None:
    settings = {**_SETTINGS, "backbone.stem_stride": 2}
    run = seer_tf.pretrain(photos, tmp_path / "run", recipe="debug_tiny", settings=settings)
    written = seer_tf.export(run, tmp_path / "model", formats=("timm",))
    assert [file.format for file in written.files] == ["timm"]
