"""The names and shapes that each PyTorch project gives the weights of a MetaFormer.

A weight of a Keras model is known by its path, such as `stage1_block2/mlp/fc1/kernel`.
A layout turns that path into the project's key. One direction is enough: to read a
file, the keys of all weights are looked up in it; to write one, they are its names.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from keras_poolformer.checkpoints.errors import CheckpointError, listed
from keras_poolformer.checkpoints.frame import EMBEDDING, Frame
from keras_poolformer.checkpoints.tensors import Checkpoint


@dataclass(frozen=True)
class Layout:
    """The names of one project.

    In the templates, `{stage}` and `{block}` count from 0; `{network}` and `{downsample}`
    are the places of a stage and of the strided convolution before it in the official
    list `network`, and `{embedding}` that of a position embedding.

    Attributes:
        name: What users call it.
        templates: The key of each part of the network, without `.weight` or `.bias`; or
            of one weight of a part, as a whole.
        stage_norms: Template of the norms after every stage, which detectors and
            segmenters have instead of a classifier and a MetaFormer does not; the
            last one is its `norm`.
        others: Prefix of all keys of the backbone in a file that also has other
            parts (a detector's neck and head), or `None`.
        matrices: Where the linear maps of MLPs and separable convolutions are stored as
            matrices: `"everywhere"`, `"beside attention"` or `"nowhere"`. Otherwise they
            are 1x1 convolutions.
    """

    name: str
    templates: Mapping[str, str] = field(repr=False)
    stage_norms: str | None = None
    others: str | None = None
    matrices: str = "nowhere"

    def key(self, path: str, frame: Frame) -> str | None:
        """Returns the key of the weight at `path`, or `None` if the project has no such weight.

        Args:
            path: Path of the weight in a MetaFormer.
            frame: That of the MetaFormer.
        """
        match = _PATH.fullmatch(path)
        if match is None:
            return None
        layer, stage, block, part, leaf = match.group("layer", "stage", "block", "part", "leaf")
        if layer is None:
            layer = part if block else match.group("between")
        template = self.templates.get(f"{layer}/{leaf}")
        if template is None:
            if layer not in self.templates or leaf not in _LEAVES:
                return None
            template = f"{self.templates[layer]}.{_LEAVES[leaf]}"
        index = frame.stages - 1 if layer == "norm" else int(stage or 1) - 1
        network = frame.network(index)
        return template.format(
            stage=index,
            block=int(block or 1) - 1,
            network=network,
            downsample=frame.downsample(index),
            embedding=network - 1,
        )

    def head_keys(self) -> tuple[str, ...]:
        """Returns the keys of the classifier."""
        heads = [part for part in self.templates if part.partition("/")[0] == "head"]
        return tuple(f"{self.templates[part]}.{leaf}" for part in heads for leaf in _ENDINGS)

    def without_counterpart(self, keys: Collection[str], stages: int) -> set[str]:
        """Returns those of `keys` that belong to a detector or segmenter, not to a MetaFormer."""
        if self.stage_norms is None:
            return set()
        norms = {
            f"{self.stage_norms.format(network=2 * stage)}.{leaf}"
            for stage in range(stages - 1)
            for leaf in _ENDINGS
        }
        return {
            key
            for key in keys
            if key in norms or (self.others is not None and not key.startswith(self.others))
        }


_PATH = re.compile(
    r"(?:(?P<layer>stem|stem_norm|norm|head|head/(?:fc1|norm|fc2))"
    r"|stage(?P<stage>[1-9]\d*)_"
    r"(?:(?P<between>downsample|downsample_norm|position_embedding)|block(?P<block>[1-9]\d*)(?:/(?P<part>[\w/]+))))"
    r"/(?P<leaf>\w+)"
)
_ENDINGS = ("weight", "bias")
_LEAVES = {
    "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias", "scale": "scale",
}  # fmt: skip

_OFFICIAL = {
    "stem": "patch_embed.proj",
    "downsample": "network.{downsample}.proj",
    "norm1": "network.{network}.{block}.norm1",
    "norm2": "network.{network}.{block}.norm2",
    "mlp/fc1": "network.{network}.{block}.mlp.fc1",
    "mlp/fc2": "network.{network}.{block}.mlp.fc2",
    "layer_scale1/gamma": "network.{network}.{block}.layer_scale_1",
    "layer_scale2/gamma": "network.{network}.{block}.layer_scale_2",
}
# The other models of the first paper.
_HYBRIDS = {
    "position_embedding/embedding": "network.{embedding}.pos_embed",
    "token_mixer/qkv": "network.{network}.{block}.token_mixer.qkv",
    "token_mixer/proj": "network.{network}.{block}.token_mixer.proj",
    "token_mixer/kernel": "network.{network}.{block}.token_mixer.fc.weight",
}
# What blocks of the second generation have, in both of its projects.
_SECOND = {
    part: f"{{prefix}}.{name}"
    for part, name in (
        ("norm1", "norm1"),
        ("norm2", "norm2"),
        ("mlp/fc1", "mlp.fc1"),
        ("mlp/activation", "mlp.act"),
        ("mlp/fc2", "mlp.fc2"),
        ("token_mixer/pwconv1", "token_mixer.pwconv1"),
        ("token_mixer/activation", "token_mixer.act1"),
        ("token_mixer/dwconv", "token_mixer.dwconv"),
        ("token_mixer/pwconv2", "token_mixer.pwconv2"),
        ("token_mixer/qkv", "token_mixer.qkv"),
        ("token_mixer/proj", "token_mixer.proj"),
        ("token_mixer/mixing", "token_mixer.random_matrix"),
        ("res_scale1/gamma", "res_scale1.scale"),
        ("res_scale2/gamma", "res_scale2.scale"),
    )
}


def _second(prefix: str) -> dict[str, str]:
    return {part: name.replace("{prefix}", prefix) for part, name in _SECOND.items()}


_METAFORMER = {
    **_second("stages.{stage}.{block}"),
    "stem": "downsample_layers.0.conv",
    "stem_norm": "downsample_layers.0.post_norm",
    "downsample": "downsample_layers.{stage}.conv",
    "downsample_norm": "downsample_layers.{stage}.pre_norm",
    "norm": "norm",
    "head": "head",
    "head/fc1": "head.fc1",
    "head/norm": "head.norm",
    "head/fc2": "head.fc2",
}
_TIMM = {
    **_second("stages.{stage}.blocks.{block}"),
    "stem_norm": "stem.norm",
    "downsample_norm": "stages.{stage}.downsample.norm",
    "head/fc1": "head.fc.fc1",
    "head/norm": "head.fc.norm",
    "head/fc2": "head.fc.fc2",
    "stem": "stem.conv",
    "downsample": "stages.{stage}.downsample.conv",
    "layer_scale1/gamma": "stages.{stage}.blocks.{block}.layer_scale1.scale",
    "layer_scale2/gamma": "stages.{stage}.blocks.{block}.layer_scale2.scale",
    "norm": "head.norm",
    "head": "head.fc",
}
_HUGGINGFACE = {
    "stem": "poolformer.encoder.patch_embeddings.0.projection",
    "downsample": "poolformer.encoder.patch_embeddings.{stage}.projection",
    "norm1": "poolformer.encoder.block.{stage}.{block}.before_norm",
    "norm2": "poolformer.encoder.block.{stage}.{block}.after_norm",
    "mlp/fc1": "poolformer.encoder.block.{stage}.{block}.output.conv1",
    "mlp/fc2": "poolformer.encoder.block.{stage}.{block}.output.conv2",
    "layer_scale1/gamma": "poolformer.encoder.block.{stage}.{block}.layer_scale_1",
    "layer_scale2/gamma": "poolformer.encoder.block.{stage}.{block}.layer_scale_2",
    "norm": "norm",
    "head": "classifier",
}
_BACKBONE = {part: f"backbone.{template}" for part, template in _OFFICIAL.items()}
_LAST_NORM = "norm{network}"
_MMHEAD = {"norm": f"backbone.{_LAST_NORM}", "head": "head.fc"}

LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("official", {**_OFFICIAL, **_HYBRIDS, "norm": "norm", "head": "head"}),
        Layout("timm", _TIMM, matrices="beside attention"),
        Layout("huggingface", _HUGGINGFACE),
        Layout("openmmlab", {**_BACKBONE, **_MMHEAD}),
        Layout("metaformer", _METAFORMER, matrices="everywhere"),
    )
}
"""The layouts that can be read and written, by name."""

DENSE_LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "official, dense",
            {**_OFFICIAL, "norm": _LAST_NORM, "head": "head"},
            stage_norms=_LAST_NORM,
        ),
        Layout(
            "openmmlab, dense",
            {**_BACKBONE, **_MMHEAD},
            stage_norms=f"backbone.{_LAST_NORM}",
            others="backbone.",
        ),
    )
}
"""The layouts of detectors and segmenters, which can be read."""


def detect_layout(checkpoint: Checkpoint) -> Layout:
    """Returns the layout of a checkpoint.

    Raises:
        CheckpointError: if it is none of those that are known.
    """
    keys = checkpoint.tensors.keys()
    # A norm after the first stage is what only dense prediction has, so those come first.
    for layout in (*DENSE_LAYOUTS.values(), *LAYOUTS.values()):
        marks = {f"{layout.templates['stem']}.weight"}
        if layout.stage_norms is not None:
            marks.add(f"{layout.stage_norms.format(network=0)}.weight")
        if marks <= keys:
            return layout
    names = ", ".join(repr(f"{layout.templates['stem']}.weight") for layout in LAYOUTS.values())
    raise CheckpointError(
        f"The file is no PoolFormer checkpoint in a known layout ({', '.join(LAYOUTS)}): "
        f"it has none of the keys {names}. Received: {str(checkpoint.path)!r}, with "
        + (f"the keys {listed(sorted(keys))}" if keys else "no tensors")
    )


def convolutions(paths: Collection[str], layout: Layout) -> set[str]:
    """Returns those weights of a model that are matrices here and 1x1 convolutions in a layout.

    Args:
        paths: Paths of all weights of the model.
        layout: The layout.
    """
    if layout.matrices == "everywhere":
        return set()
    attention: set[str] = set()
    if layout.matrices == "beside attention":  # where blocks see tokens, not maps
        attention = {path.partition("_block")[0] for path in paths if "/token_mixer/qkv/" in path}
    return {
        path
        for path in paths
        if _POINTWISE.search(path) and path.partition("_block")[0] not in attention
    }


_POINTWISE = re.compile(r"_block\d+/(?:mlp/fc[12]|token_mixer/pwconv[12])/kernel$")


def shape_in_file(path: str, shape: tuple[int, ...], is_convolution: bool) -> tuple[int, ...]:
    """Returns the shape that PyTorch gives the weight at `path`.

    Args:
        path: Path of the weight.
        shape: Its shape in Keras.
        is_convolution: Whether a matrix is a 1x1 convolution there.
    """
    if EMBEDDING.fullmatch(path):
        height, width, channels = shape
        return (1, channels, height, width)
    if not path.endswith("kernel"):
        return shape
    if len(shape) == 4:
        height, width, inputs, outputs = shape
        if "/dwconv/" in path:
            return (inputs, outputs, height, width)
        return (outputs, inputs, height, width)
    return (shape[1], shape[0], 1, 1) if is_convolution else (shape[1], shape[0])


def to_keras(path: str, value: np.ndarray, is_convolution: bool) -> np.ndarray:
    """Turns a weight of a file, whose shape is checked, into the Keras weight at `path`."""
    if EMBEDDING.fullmatch(path):
        return value[0].transpose(1, 2, 0)
    if not path.endswith("kernel"):
        return value
    if is_convolution:
        value = value[:, :, 0, 0]
    if value.ndim == 2:
        return value.T
    return value.transpose((2, 3, 0, 1) if "/dwconv/" in path else (2, 3, 1, 0))


def to_pytorch(path: str, value: np.ndarray, is_convolution: bool) -> np.ndarray:
    """Turns the Keras weight at `path` into a contiguous array for a file."""
    shape = shape_in_file(path, value.shape, is_convolution)
    if EMBEDDING.fullmatch(path):
        value = value.transpose(2, 0, 1)
    if path.endswith("kernel"):
        axes = (2, 3, 0, 1) if "/dwconv/" in path else (3, 2, 0, 1)
        value = value.T if value.ndim == 2 else value.transpose(axes)
    return np.ascontiguousarray(value).reshape(shape)
