"""The SEER networks that Meta released: what each file holds, and under which licence. No file is hosted here.

Files and head sizes come from VISSL's `projects/SEER/README.md`, `MODEL_ZOO.md` and
`configs/config/benchmark/nearest_neighbor/models/seer`. The licence is VISSL's `projects/SEER/MODEL_LICENSE.md`.
"""

import dataclasses
from pathlib import Path

from seer_tf.config import HeadConfig
from seer_tf.files import sealed_json

BASE_URL = "https://dl.fbaipublicfiles.com/vissl/model_zoo/"
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
LICENCE = "SEER License Agreement"
LICENCE_URL = "https://github.com/facebookresearch/vissl/blob/main/projects/SEER/MODEL_LICENSE.md"
ATTRIBUTION = "SEER is licensed under SEER license, Copyright (c) Meta Platforms, Inc. All Rights Reserved."
"""The line that must accompany every copy of the weights and of anything made from the weights."""

LICENCE_NOTICE = f"""\
{ATTRIBUTION}

The weights of SEER belong to Meta, and so do weights converted from them. The {LICENCE} allows their use
for non-commercial research only. It forbids commercial and production use, military use, law enforcement, migration and
border control, surveillance, biometric processing, identifying people, and predicting sensitive characteristics of
people. Anyone who passes the weights on, converted or not, must pass on the text of the licence and the line above. If
a model hub shows another licence for the same weights, Meta's licence is the one that counts.

This is a summary and not the licence. Read the licence before you use the weights:
{LICENCE_URL}

A converter cannot know where a file comes from. Weights that are not from SEER have a licence of their own.
"""


NOTICE_FILE = "SEER_LICENCE.txt"


def licence_fields(licence: str) -> dict[str, str | None]:
    """Returns the metadata entries for a `RegNetY.licence`."""
    if licence != LICENCE:
        return {"licence": licence or None}
    return {"licence": LICENCE, "licence_url": LICENCE_URL, "attribution": ATTRIBUTION}


def licence_beside(file: Path) -> str:
    """Returns the licence in the metadata.json beside a file; empty if there is none.

    Backbones that earlier versions converted do not carry the licence themselves.
    """
    try:
        account = sealed_json.parse(file.with_name("metadata.json").read_bytes())
        return sealed_json.typed(account.get("licence") or "", str, "licence")
    except (OSError, sealed_json.DamagedJsonError):
        return ""


def add_notice(directory: Path, licence: str) -> None:
    """Writes the notice into a directory of weights if their `RegNetY.licence` is SEER's."""
    if licence == LICENCE:
        (directory / NOTICE_FILE).write_text(LICENCE_NOTICE, "utf-8")


@dataclasses.dataclass(frozen=True)
class PublishedModel:
    """One released file.

    Attributes:
        variant: A name of `regnet_design.VARIANTS`.
        file_name: Path below `BASE_URL`.
        num_parameters: Number of trainable parameters in the file: those of the trunk and the head or classifier.
        head: Projection and prototypes; None for a fine-tuned network.
        num_classes: Number of classes; None for a pretrained network.
        input_size_px: Side of the images on which the network was evaluated.
        resize_px: Length to which the shorter side of an image was resized before the centre crop.
        interpolation: Interpolation of this resize.
        mean: Mean of the red, green and blue channel, for images between 0 and 1.
        std: Standard deviation of these channels.
    """

    variant: str
    file_name: str
    num_parameters: int
    head: HeadConfig | None = None
    num_classes: int | None = None
    input_size_px: int = 224
    resize_px: int = 256
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD


def _pretrained(
    variant: str, file_name: str, num_parameters: int, *, hidden_dim: int, batch_norm: bool
) -> PublishedModel:
    """Returns a network with the large head and 16,000 prototypes (the file names state this number)."""
    head = HeadConfig(
        hidden_dims=(hidden_dim, hidden_dim), embedding_dim=256, batch_norm=batch_norm, num_prototypes=16_000
    )
    return PublishedModel(variant, file_name, num_parameters, head=head)


def _fine_tuned(variant: str, file_name: str, num_parameters: int) -> PublishedModel:
    """Returns a network fine-tuned on ImageNet-1k at 384 px, with no margin around the centre crop."""
    return PublishedModel(
        variant,
        file_name,
        num_parameters,
        num_classes=1000,
        input_size_px=384,
        resize_px=384,
        interpolation="bicubic",
    )


PUBLISHED = (
    _pretrained(
        "32GF",
        "seer_regnet32d/seer_regnet32gf_model_iteration244000.torch",
        178_484_746,
        hidden_dim=4096,
        batch_norm=True,
    ),
    _pretrained(
        "64GF",
        "seer_regnet64/seer_regnet64gf_model_final_checkpoint_phase0.torch",
        390_081_082,
        hidden_dim=8192,
        batch_norm=False,
    ),
    _pretrained(
        "128GF",
        "swav_ig1b_regnet128Gf_cnstant_bs32_node16_sinkhorn10_proto16k_syncBN64_warmup8k/"
        "model_final_checkpoint_phase0.torch",
        771_293_814,
        hidden_dim=8192,
        batch_norm=False,
    ),
    _pretrained(
        "256GF",
        "swav_ig1b_cosine_rg256gf_noBNhead_wd1e5_fairstore_bs16_node64_sinkhorn10_proto16k_apex_syncBN64_warmup8k/"
        "model_final_checkpoint_phase0.torch",
        1_431_032_042,
        hidden_dim=8192,
        batch_norm=False,
    ),
    _pretrained(
        "10B", "seer_regnet10B/model_iteration124500_conso.torch", 9_628_923_288, hidden_dim=8192, batch_norm=False
    ),
    _fine_tuned(
        "32GF", "seer_finetuned/seer_regnet32_finetuned_in1k_model_final_checkpoint_phase78.torch", 145_046_770
    ),
    _fine_tuned(
        "64GF", "seer_finetuned/seer_regnet64_finetuned_in1k_model_final_checkpoint_phase78.torch", 281_378_786
    ),
    _fine_tuned(
        "128GF", "seer_finetuned/seer_regnet128_finetuned_in1k_model_final_checkpoint_phase78.torch", 644_812_894
    ),
    _fine_tuned(
        "256GF", "seer_finetuned/seer_regnet256_finetuned_in1k_model_final_checkpoint_phase38.torch", 1_282_601_138
    ),
    _fine_tuned("10B", "seer_finetuned/seer_10b_finetuned_in1k_model_phase28_conso.torch", 9_352_215_872),
)


def is_released(variant: str) -> bool:
    """Returns whether Meta released a network of this variant."""
    return any(model.variant == variant for model in PUBLISHED)


def find(variant: str, *, fine_tuned: bool) -> PublishedModel | None:
    """Returns the released network of this variant, pretrained or fine-tuned; None if there is none."""
    for model in PUBLISHED:
        if model.variant == variant and (model.num_classes is not None) == fine_tuned:
            return model
    return None
