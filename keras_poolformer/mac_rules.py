"""How many multiply-accumulates each kind of layer takes: one table.

A rule is a function of a layer and the shape of its input, with a batch of one. It
returns a number, or a list of numbers and of layers inside with the shapes that
they see. What multiplies nothing but element by element has the rule `nothing`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import keras

from keras_poolformer import layers
from keras_poolformer.inference.centered_pixels import CenteredPixels
from keras_poolformer.inference.normalized_mean import NormalizedMean
from keras_poolformer.inference.pooling_branch import PoolingBranch
from keras_poolformer.inference.residual_branch import ResidualBranch
from keras_poolformer.layers.data_format import split_shape
from keras_poolformer.layers.tokens import check_tokens

Shape: TypeAlias = tuple[int, ...]
Part: TypeAlias = int | tuple[Any, Shape]
Rule: TypeAlias = Callable[[Any, Any], int | list[Part]]


def find_rule(kind: type, rules: Mapping[type, Rule]) -> Rule | None:
    """Returns the rule of a class or of the nearest one that it inherits its `call` from.

    Args:
        kind: Class of a layer.
        rules: Rules that win over those of the table.
    """
    for ancestor in kind.__mro__:
        rule = rules.get(ancestor) or RULES.get(ancestor)
        # Below a `call` of its own, what a class computes is not what its parents do.
        if rule is not None or "call" in vars(ancestor):
            break
    # What `keras.ops` does in a functional model, such as `x / 255`: its classes are private.
    if rule is None and not issubclass(kind, keras.Layer) and kind.__name__ in _OPERATIONS:
        return nothing
    return rule


def nothing(layer: Any, shape: Any) -> int:
    """The rule of what fvcore counts no or few operations for, and no products."""
    return 0


# === The layers of Keras ===


def _dense(layer: Any, shape: Shape) -> int:
    return math.prod(shape) * layer.units


def _convolution(layer: Any, shape: Shape) -> int:
    channels = shape[-1 if layer.data_format == "channels_last" else 1]
    outputs = math.prod(layer.compute_output_shape(shape))
    return outputs * math.prod(layer.kernel_size) * (channels // layer.groups)


def _transposed_convolution(layer: Any, shape: Shape) -> int:
    return math.prod(shape) * math.prod(layer.kernel_size) * layer.filters


def _depthwise_convolution(layer: Any, shape: Shape) -> int:
    return math.prod(layer.compute_output_shape(shape)) * math.prod(layer.kernel_size)


def _separable_convolution(layer: Any, shape: Shape) -> int:
    between = shape[-1 if layer.data_format == "channels_last" else 1] * layer.depth_multiplier
    outputs = math.prod(layer.compute_output_shape(shape))
    depthwise = outputs // layer.filters * between * math.prod(layer.kernel_size)
    return depthwise + outputs * between


# === The layers of this library ===


def _map(layer: Any, shape: Shape) -> tuple[Any, Any, Any]:
    """Height, width and channels of a map in the layout of a layer."""
    return split_shape(shape, layer.data_format)[1:]


def _patch_embedding(layer: Any, shape: Shape) -> int:
    channels = _map(layer, shape)[2]
    return math.prod(layer.compute_output_shape(shape)) * math.prod(layer.patch_size) * channels


def _depthwise(layer: Any, shape: Shape) -> int:
    return math.prod(shape) * layer.kernel_size**2


def _channel_mlp(layer: Any, shape: Shape) -> list[Part]:
    return _widened(layer, shape, layer.fc1, layer.fc2)


def _separable(layer: Any, shape: Shape) -> list[Part]:
    return _widened(layer, shape, layer.pwconv1, layer.dwconv, layer.pwconv2)


def _widened(layer: Any, shape: Shape, first: Any, *others: Any) -> list[Part]:
    """A linear map to more channels, an activation, and layers that see those channels."""
    height, width, channels = _map(layer, shape)
    hidden = (1, height, width, first.units)
    return [
        (first, (1, height, width, channels)),
        *_activation(layer.activation, hidden),
        *((other, hidden) for other in others),
    ]


def _activation(activation: Any, shape: Shape) -> list[Part]:
    # A function is one of Keras's, or applied element by element as they are.
    return [(activation, shape)] if isinstance(activation, keras.layers.Layer) else []


def _self_attention(layer: Any, shape: Shape) -> list[Part]:
    height, width, channels = _map(layer, shape)
    tokens, inner = height * width, layer.heads * layer.head_dim
    scores = values = tokens * tokens * inner
    return [
        (layer.qkv, (1, tokens, channels)),
        scores + values,
        (layer.proj, (1, tokens, inner)),
    ]


def _all_to_all(layer: Any, shape: Shape) -> int:
    height, width, _ = _map(layer, shape)
    tied = layer.weights[0].shape[0]
    check_tokens(shape, tied, layer.data_format, type(layer).__name__)
    return math.prod(shape) * height * width


def _position_embedding(layer: Any, shape: Shape) -> int:
    size = tuple(layer.embedding.shape[:2])
    if _map(layer, shape)[:2] != size and not layer.interpolate:
        raise ValueError(
            f"PositionEmbedding was built for maps of {size[0]} x {size[1]} positions and takes "
            f"no other size. Received: shape={shape}"
        )
    return 0


def _mlp_head(layer: Any, shape: Shape) -> list[Part]:
    return [(layer.fc1, shape), (layer.fc2, (1, layer.fc1.units))]


def _block(layer: Any, shape: Shape) -> list[Part]:
    x = (1, *_map(layer, shape))
    parts = (layer.norm1, layer.token_mixer, layer.norm2, layer.mlp)
    return [(part, x) for part in parts if part is not None]  # a block may have no MLP


def _residual_branch(layer: Any, shape: Shape) -> list[Part]:
    return [(inner, shape) for inner in layer.layers]


def _without_products() -> Iterator[type]:
    """The layers that multiply element by element at most."""
    yield from (CenteredPixels, NormalizedMean, PoolingBranch)
    yield from (layers.AveragePool2D, layers.Pooling)
    yield from (layers.BatchNorm, layers.ChannelLayerNorm, layers.GroupNorm1)
    yield from (layers.LayerScale, layers.SquaredReLU, layers.StarReLU, layers.StochasticDepth)
    names = """
        Activation ELU Identity InputLayer LeakyReLU Masking PReLU ReLU Softmax
        ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise
        SpatialDropout1D SpatialDropout2D SpatialDropout3D
        BatchNormalization GroupNormalization LayerNormalization RMSNormalization
        UnitNormalization
        AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D
        GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
        GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
        Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
        UpSampling1D UpSampling2D UpSampling3D Flatten Permute RepeatVector Reshape
        Add Average Concatenate Maximum Minimum Multiply Subtract Embedding
        CenterCrop Normalization Rescaling Resizing
        RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation
        RandomZoom
    """
    yield from (getattr(keras.layers, name) for name in names.split())


_NAMES = """
    Absolute Add Amax Amin Broadcast BroadcastTo Cast Clip Concatenate Divide Exp ExpandDims Flip
    Gelu GetItem Log Max Maximum Mean Min Minimum Moveaxis Multiply Negative Pad Power Relu Repeat
    Reshape Rsqrt Sigmoid Silu Softmax Split Sqrt Square Squeeze Stack Subtract Sum Swapaxes Tanh
    Transpose TrueDivide Var
"""
_OPERATIONS = frozenset(_NAMES.split())


RULES: dict[type, Rule] = {
    **dict.fromkeys(_without_products(), nothing),
    keras.layers.Dense: _dense,
    keras.layers.Conv1D: _convolution,
    keras.layers.Conv2D: _convolution,
    keras.layers.Conv3D: _convolution,
    keras.layers.Conv1DTranspose: _transposed_convolution,
    keras.layers.Conv2DTranspose: _transposed_convolution,
    keras.layers.Conv3DTranspose: _transposed_convolution,
    keras.layers.DepthwiseConv1D: _depthwise_convolution,
    keras.layers.DepthwiseConv2D: _depthwise_convolution,
    keras.layers.SeparableConv1D: _separable_convolution,
    keras.layers.SeparableConv2D: _separable_convolution,
    layers.ChannelMLP: _channel_mlp,
    layers.DepthwiseConvolution: _depthwise,
    layers.MetaFormerBlock: _block,
    layers.MLPHead: _mlp_head,
    layers.PatchEmbedding: _patch_embedding,
    layers.PositionEmbedding: _position_embedding,
    layers.RandomMixing: _all_to_all,
    layers.SelfAttention: _self_attention,
    layers.SeparableConvolution: _separable,
    layers.SpatialFullyConnected: _all_to_all,
    ResidualBranch: _residual_branch,
}
"""The rule of each class. Its subclasses have it too, unless they define `call`."""
