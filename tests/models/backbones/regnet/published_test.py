"""The released networks agree with the counts and sizes in their publications, and with our networks."""

import pytest

from seer_tf.models.backbones.regnet import design as regnet_design
from seer_tf.models.backbones.regnet import published
from seer_tf.models.backbones.regnet.published import PUBLISHED, PublishedModel

_SIZES = ("32GF", "64GF", "128GF", "256GF", "10B")
_BILLIONS = {"32GF": 0.1785, "64GF": 0.3901, "128GF": 0.7713, "256GF": 1.431, "10B": 9.63}  # including the head
_MILLIONS_WITH_CLASSIFIER = {"32GF": 145.05, "64GF": 281.38, "128GF": 644.81, "256GF": 1282.60, "10B": 9352.2}


def _num_parameters(model: PublishedModel) -> int:
    design = regnet_design.design(model.variant)
    width = design.stages()[-1].width
    count = regnet_design.parameter_count(design)
    if model.num_classes is not None:
        return count + (width + 1) * model.num_classes
    assert model.head is not None
    widths = (width, *model.head.hidden_dims, model.head.embedding_dim)
    count += sum((width_in + 1) * width_out for width_in, width_out in zip(widths[:-1], widths[1:], strict=True))
    count += 2 * sum(model.head.hidden_dims) * model.head.batch_norm
    return count + model.head.embedding_dim * model.head.num_prototypes


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.file_name)
def test_the_number_of_parameters_equals_that_of_our_network(model: PublishedModel) -> None:
    assert model.num_parameters == _num_parameters(model)


def test_every_size_is_listed_pretrained_and_fine_tuned() -> None:
    for variant in _SIZES:
        pretrained = published.find(variant, fine_tuned=False)
        assert pretrained is not None and pretrained.head is not None
        assert pretrained.num_parameters == pytest.approx(_BILLIONS[variant] * 1e9, rel=1e-3)
        small = variant == "32GF"
        assert pretrained.head.batch_norm == small
        assert pretrained.head.hidden_dims == ((4096, 4096) if small else (8192, 8192))
        assert (pretrained.head.embedding_dim, pretrained.head.num_prototypes) == (256, 16_000)
        assert (pretrained.input_size_px, pretrained.resize_px, pretrained.interpolation) == (224, 256, "bilinear")
        fine_tuned = published.find(variant, fine_tuned=True)
        assert fine_tuned is not None and fine_tuned.num_classes == 1000
        assert fine_tuned.num_parameters == pytest.approx(_MILLIONS_WITH_CLASSIFIER[variant] * 1e6, rel=1e-4)
        assert (fine_tuned.input_size_px, fine_tuned.resize_px, fine_tuned.interpolation) == (384, 384, "bicubic")
    assert len(PUBLISHED) == 2 * len(_SIZES)
    assert published.find("400MF", fine_tuned=False) is None


def test_file_names_agree_with_the_variants() -> None:
    files = [model.file_name for model in PUBLISHED]
    assert len(set(files)) == len(files) and all(file.endswith(".torch") for file in files)
    for variant, number in (("32GF", "32"), ("64GF", "64"), ("128GF", "128"), ("256GF", "256"), ("10B", "10")):
        assert all(number in model.file_name.lower() for model in PUBLISHED if model.variant == variant)


def test_the_licence_is_the_seer_licence() -> None:
    assert published.LICENCE == "SEER License Agreement"
    assert published.LICENCE_NOTICE.startswith(
        "SEER is licensed under SEER license, Copyright (c) Meta Platforms, Inc. All Rights Reserved.\n"
    )
    assert "non-commercial research" in published.LICENCE_NOTICE and published.LICENCE_URL in published.LICENCE_NOTICE


def test_the_normalisation_is_that_of_imagenet() -> None:
    assert {(model.mean, model.std) for model in PUBLISHED} == {((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
