"""Fine-tuning in the training loop: interruptions do not change the result, and each replica gets its slice."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf import config as configs
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.files.atomic import remove_directory
from seer_tf.finetuning.config import FinetuneConfig, with_length
from seer_tf.finetuning.recipes import recipe
from seer_tf.finetuning.task import batches_from, check_fit, fine_tune, trained_classifier
from seer_tf.models import RegNetY
from seer_tf.training import tensor_store
from seer_tf.training.run_directory import RunDirectory
from tests.replicas import two_replicas
from tests.small_networks import stages_design

_SETTINGS = (
    "data.global_batch_size=6",
    "crops.sizes_px=16",
    "run.num_steps=6",
    "run.log_every_steps=3",
    "run.checkpoint_every_steps=2",
    "run.keep_checkpoints=5",
    "run.steps_per_call=2",
    "mixing.mixup_alpha=0.4",
    "mixing.cutmix_alpha=1",
    "mixing.label_smoothing=0.1",
    "mixing.rand_augment_operations=1",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Ten images in each of two class folders."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 120)):
        (folder / name).mkdir()
        for number in range(10):
            pixels = random.integers(low, low + 130, (20, 20, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return open_source(f"folder:{folder}")


@pytest.fixture(scope="module")
def config() -> FinetuneConfig:
    return configs.override(recipe("finetune_small"), _SETTINGS)


@pytest.fixture(scope="module")
def backbone() -> RegNetY:
    return RegNetY(design=stages_design(2), stem_width=8, stem_stride=1)


def tensors(directory: RunDirectory, step: int) -> dict[str, np.ndarray]:
    path = directory.checkpoint(step)
    return tensor_store.read(path, tensor_store.shapes(path))


def test_an_interrupted_run_equals_an_uninterrupted_run(
    config: FinetuneConfig, source: Source, backbone: RegNetY, tmp_path: pathlib.Path
) -> None:
    """The run has all random draws: crops, RandAugment, MixUp and CutMix."""
    directory = RunDirectory(tmp_path / "run")
    assert source.class_names is not None
    arguments = (config, source, source.class_names, backbone, None, directory)
    assert fine_tune(*arguments).step == 6
    expected = tensors(directory, 6)
    for step in (4, 6):
        remove_directory(directory.checkpoint(step))
    assert directory.checkpoint_steps() == [2]
    assert fine_tune(*arguments).step == 6
    found = tensors(directory, 6)
    assert found.keys() == expected.keys() and len(found) > 40
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    classifier = trained_classifier(config, source.class_names, backbone, None, directory)
    np.testing.assert_array_equal(
        classifier.classifier.layers[-1].kernel.numpy(), expected["model/" + classifier.classifier.variables[0].path]
    )
    assert any(directory.tensorboard.iterdir())


@pytest.mark.slow
@pytest.mark.multi_replica
def test_replicas_share_the_batches_of_one_device(config: FinetuneConfig, source: Source) -> None:
    strategy = two_replicas()
    whole = iter(batches_from(3, config, source, tf.distribute.get_strategy()))
    shared = iter(batches_from(3, config, source, strategy))
    for one, two in zip(next(whole), next(shared), strict=True):
        parts = [part.numpy() for part in strategy.experimental_local_results(two)]
        assert [len(part) for part in parts] == [3, 3]
        np.testing.assert_array_equal(np.concatenate(parts), one)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("data.global_batch_size=22", "22 is larger than builtin, which has 20 images"),
        ("data.global_batch_size=5", "5 cannot be divided by 2 replicas"),
        ("run.accumulation_steps=2", "does not divide the batch of each replica, 3 images"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    config: FinetuneConfig, source: Source, setting: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        check_fit(configs.override(config, [setting]), source, 2)


def test_xla_with_mixup_or_cutmix_is_refused(config: FinetuneConfig, source: Source) -> None:
    with pytest.raises(InputError, match="run.xla does not work with MixUp or CutMix"):
        check_fit(configs.override(config, ["run.xla=true"]), source, 1)


def test_epochs_and_images_give_the_length_of_a_run() -> None:
    """ImageNet has 1,281,167 images, and the paper has 35 epochs with batches of 256.

    The second case has a hundredth of the images and VISSL's 70 epochs.
    """
    assert with_length(recipe("finetune_imagenet_224"), 1_281_167).run.num_steps == 175_160
    assert with_length(recipe("low_shot_imagenet_1"), 12_811).run.num_steps == 3503
    explicit = configs.override(recipe("finetune_small"), ["run.num_steps=5"])
    assert with_length(explicit, 1000) == explicit
