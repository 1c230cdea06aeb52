"""The names that released checkpoints give to the variables of a RegNetY, in four layouts.

The files that Meta published have VISSL's layout, and their trunk is named as in ClassyVision's `models/anynet.py`.
Hugging Face's layout is that of `models/regnet` in transformers. timm's and torchvision's layouts are those of their
`models/regnet.py`.
"""

import re
from collections.abc import Iterable

from seer_tf.models.key_layout import KeyLayout

# If the released code shards a network over devices (FSDP, the 10 B network), names have a level of parts between the
# stage and its blocks.
_PART = re.compile(r"\.block\d+-part\d+(?=\.)")


# Each layer of our block, and its name in VISSL, in Hugging Face's transformers, in timm and in torchvision.
_LAYERS = {
    "shortcut": ("proj", "shortcut.convolution", "downsample.conv", "proj.0"),
    "shortcut_bn": ("bn", "shortcut.normalization", "downsample.bn", "proj.1"),
    "a": ("f.a.0", "layer.0.convolution", "conv1.conv", "f.a.0"),
    "a_bn": ("f.a.1", "layer.0.normalization", "conv1.bn", "f.a.1"),
    "b": ("f.b.0", "layer.1.convolution", "conv2.conv", "f.b.0"),
    "b_bn": ("f.b.1", "layer.1.normalization", "conv2.bn", "f.b.1"),
    "se/reduce": ("f.se.excitation.0", "layer.2.attention.0", "se.fc1", "f.se.fc1"),
    "se/expand": ("f.se.excitation.2", "layer.2.attention.2", "se.fc2", "f.se.fc2"),
    "c": ("f.c", "layer.3.convolution", "conv3.conv", "f.c.0"),
    "c_bn": ("f.final_bn", "layer.3.normalization", "conv3.bn", "f.c.1"),
}
_VISSL_LAYERS, _HUGGING_FACE_LAYERS, _TIMM_LAYERS, _TORCHVISION_LAYERS = (
    dict(zip(_LAYERS, names, strict=True)) for names in zip(*_LAYERS.values(), strict=True)
)

VISSL = KeyLayout(
    "VISSL",
    trunk="trunk.",
    stem={"conv": "_feature_blocks.conv1.stem.0", "bn": "_feature_blocks.conv1.stem.1"},
    block=lambda stage, block: f"_feature_blocks.res{stage + 1}.block{stage}-{block - 1}",
    layers=_VISSL_LAYERS,
    classifier="heads.0.clf.0",
)
HUGGING_FACE = KeyLayout(
    "Hugging Face",
    trunk="regnet.",
    stem={"conv": "embedder.embedder.convolution", "bn": "embedder.embedder.normalization"},
    block=lambda stage, block: f"encoder.stages.{stage - 1}.layers.{block - 1}",
    layers=_HUGGING_FACE_LAYERS,
    classifier="classifier.1",
)
TIMM = KeyLayout(
    "timm",
    trunk="",
    stem={"conv": "stem.conv", "bn": "stem.bn"},
    block=lambda stage, block: f"s{stage}.b{block}",
    layers=_TIMM_LAYERS,
    classifier="head.fc",
)
TORCHVISION = KeyLayout(
    "torchvision",
    trunk="",
    stem={"conv": "stem.0", "bn": "stem.1"},
    block=lambda stage, block: f"trunk_output.block{stage}.block{stage}-{block - 1}",
    layers=_TORCHVISION_LAYERS,
    classifier="fc",
)
#: The name of VISSL's stem ends as that of torchvision's, so torchvision's layout comes last.
LAYOUTS = (VISSL, HUGGING_FACE, TIMM, TORCHVISION)


def without_parts(name: str) -> str:
    """Returns a name in VISSL's layout without the level that sharding puts above the blocks."""
    return _PART.sub("", name)


def find_layout(names: Iterable[str]) -> tuple[KeyLayout, str] | None:
    """Returns the layout of these names and the prefix of the trunk's names; None if no layout fits.

    The stem's convolution decides, because its name is different in each layout.
    """
    for layout in LAYOUTS:
        stem = layout.key("stem/conv/kernel")
        for name in names:
            if name == stem or name.endswith(f".{stem}"):
                return layout, name.removesuffix(stem)
    return None
