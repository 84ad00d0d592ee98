"""The MetaFormer: the architecture that the paper abstracts from transformers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_poolformer.image_input import (
    check_images,
    check_input_shape,
    imagenet_normalization,
)
from keras_poolformer.layers.activation import ActivationSpec, serialize_activation
from keras_poolformer.layers.data_format import check_data_format
from keras_poolformer.layers.layer_spec import LayerFactory, LayerSpec
from keras_poolformer.layers.metaformer_block import MetaFormerBlock
from keras_poolformer.layers.mlp_head import MLPHead
from keras_poolformer.layers.normalization import NORMS
from keras_poolformer.layers.patch_embedding import PatchEmbedding
from keras_poolformer.layers.pooling import int_pair
from keras_poolformer.layers.position_embedding import PositionEmbedding
from keras_poolformer.layers.stochastic_depth import check_rate
from keras_poolformer.layers.token_mixers import TOKEN_MIXERS
from keras_poolformer.stages import check_stages, drop_path_schedule, per_stage


@keras.saving.register_keras_serializable(package="keras_poolformer")
class MetaFormer(keras.Model):
    """A hierarchical network of MetaFormer blocks with any token mixer.

    A stem cuts the image into overlapping patches; stages of blocks follow, with
    a strided convolution between every two; then a norm, the mean over the
    positions and a linear classifier. The defaults are PoolFormer's. What the
    second generation does otherwise (norms around the strided convolutions, learned
    activations, scaled shortcuts, the mean before the norm, an MLP as the
    classifier) are arguments, and its builders a table of them. The model computes
    in `channels_last` inside; with `data_format="channels_first"` images and feature
    maps are transposed at its border.

    The raw output of every stage stands in `pyramid_outputs`, a dictionary of
    Keras tensors named by the logarithm of their stride (`"P2"` has stride 4,
    `"P5"` stride 32), for detection and segmentation:

    ```python
    backbone = keras_poolformer.PoolFormerS12(include_top=False)
    pyramid = keras.Model(backbone.input, backbone.pyramid_outputs)
    maps = pyramid(images)  # {"P2": (B, H/4, W/4, 64), ..., "P5": (B, H/32, W/32, 512)}
    ```

    Args:
        depths: Number of blocks of each stage.
        dims: Channels of each stage.
        mlp_ratios: Hidden channels of the MLPs over the stage's channels, one
            number or one a stage; `None` for blocks that only mix tokens.
        token_mixer: What moves information between positions, one for all stages
            or a list with one a stage. Each is a name (`"pooling"`, `"identity"`,
            `"depthwise_convolution"`, `"separable_convolution"`, `"self_attention"`,
            `"random_mixing"`, `"spatial_fully_connected"`), a layer, a layer class,
            or a callable without arguments that returns a layer. A mixer maps a
            (B, H, W, C) map to one of the same shape. Every block takes a fresh copy
            made from the layer's configuration, with the model's dtype policy.
        norm: The normalisation in the blocks, given like a token mixer:
            `"group_norm"`, `"layer_norm"`, `"batch_norm"` or your own; `None` for none.
        activation: Activation of the MLPs, a name, a function or a layer; `"gelu"` is
            exact, `"star_relu"` learns two scalars in every block.
        layer_scale_init_value: Initial value of the LayerScale factors of the
            branches, or `None` for no LayerScale; one value or one a stage.
        res_scale_init_value: The same for the ResScale factors of the shortcuts.
        mlp_bias: Whether the linear maps of the MLPs have biases.
        custom_gradients: Whether blocks of a PoolFormer run as two functions with gradients of
            their own, faster and with less memory; see `MetaFormerBlock` for what needs
            `False`.
        recompute: Whether training computes the hidden maps of the MLPs twice instead of
            keeping them: about half the memory for a seventh more time. For PoolFormers.
        drop_path_rate: Rate of stochastic depth of the last block, in [0, 1).
            Block i of N has `drop_path_rate * i / (N - 1)`.
        dropout_rate: Rate of the dropout inside the MLPs, in [0, 1).
        stem_patch_size, stem_stride, stem_padding: Window, step and zero padding
            of the stem, in pixels of the image.
        downsample_patch_size, downsample_stride, downsample_padding: The same for
            the convolutions between stages, in pixels of their input.
        stem_norm: Norm after the stem's convolution, given like `norm`.
        downsample_norm: Norm before every convolution between stages.
        final_norm: Norm after the last stage; `"as_blocks"` for that of its blocks.
        norm_after_pool: Whether the last norm comes after the mean over the positions
            and not before. Without a pooling it normalises each position.
        position_embedding_stage: Number of the stage, from 1, before whose blocks a
            learned position embedding is added, which ties the model to one size of
            image; `None` for no embedding.
        position_embedding_size: Height and width of that embedding in positions, one
            number or two, such as 14 for stage 3 at 224 pixels. Images of any size are
            taken then: the embedding is resized to theirs with bicubic interpolation.
            `None` for the size that `input_shape` gives, and no other.
        residual: Whether the blocks have their shortcuts.
        patch_init_std: Standard deviation of the initial weights of stem and
            convolutions between stages; `None` for PyTorch's uniform initialisation.
        head: The classifier, `"linear"` or `"mlp"`, which has a hidden layer.
        head_dropout_rate: Rate of the dropout before the last linear map, in [0, 1).
        include_top: Whether the classifier is there. Without it the output is the
            normalised map of the last stage, pooled as `pooling` says.
        include_preprocessing: Whether the model takes RGB pixels in [0, 255] and
            normalises them with ImageNet's mean and deviation itself. Otherwise it
            expects normalised images.
        pooling: With `include_top=False`: `None` for the map, `"avg"` or `"max"`
            for a vector of (B, dims[-1]).
        classes: Number of classes, with `include_top=True`.
        classifier_activation: Activation of the classifier; `None` gives logits.
        input_shape: Shape of an image in `data_format`, without the batch; height
            and width may be `None`. By default (224, 224, 3) with the classifier
            and (None, None, 3) without.
        input_tensor: A `keras.Input` to build the model on, instead of
            `input_shape`.
        data_format: `"channels_last"` or `"channels_first"`, the layout of images
            and of feature maps that the model returns. By default that of Keras's
            configuration when the model is made; it is saved with the model.
        dtype: Dtype policy of all layers, by default Keras's global policy. Under
            a half precision policy the classifier's output still is float32.
        name: Name of the model.
        trainable: Whether the model's weights are trained.

    Attributes:
        depths, dims: Blocks and channels of each stage.
        classes: Number of classes, `None` without the classifier.
        include_preprocessing: Whether the model takes pixels in [0, 255].
        norm_after_pool: Whether the last norm follows the mean over the positions.
        token_mixers: Name or configuration of the token mixer of each stage.
        data_format: Layout of images and feature maps.

    Raises:
        ValueError: if an argument is out of its range; the message names it.

    Example:
    >>> model = MetaFormer(depths=[2, 2, 6, 2], dims=[64, 128, 320, 512])
    >>> model = MetaFormer(
    ...     depths=[1, 1], dims=[32, 64], token_mixer=["identity", MyMixer],
    ...     stem_patch_size=3, stem_stride=1, stem_padding=1,
    ...     input_shape=(28, 28, 1), classes=10,
    ... )

    Reference: [MetaFormer Is Actually What You Need for Vision](
        https://arxiv.org/abs/2111.11418), figure 2 and table 1, and [MetaFormer
        Baselines for Vision](https://arxiv.org/abs/2210.13452).
    """

    def __init__(
        self,
        depths: Sequence[int],
        dims: Sequence[int],
        *,
        mlp_ratios: float | Sequence[float | None] | None = 4.0,
        token_mixer: LayerSpec | Sequence[LayerSpec] = "pooling",
        norm: LayerSpec | Sequence[LayerSpec] = "group_norm",
        activation: ActivationSpec = "gelu",
        layer_scale_init_value: float | Sequence[float | None] | None = 1e-5,
        res_scale_init_value: float | Sequence[float | None] | None = None,
        mlp_bias: bool = True,
        custom_gradients: bool = True,
        recompute: bool = False,
        drop_path_rate: float = 0.0,
        dropout_rate: float = 0.0,
        stem_patch_size: int = 7,
        stem_stride: int = 4,
        stem_padding: int = 2,
        downsample_patch_size: int = 3,
        downsample_stride: int = 2,
        downsample_padding: int = 1,
        stem_norm: LayerSpec = None,
        downsample_norm: LayerSpec = None,
        final_norm: LayerSpec = "as_blocks",
        norm_after_pool: bool = False,
        position_embedding_stage: int | None = None,
        position_embedding_size: int | Sequence[int] | None = None,
        residual: bool = True,
        patch_init_std: float | None = None,
        head: str = "linear",
        head_dropout_rate: float = 0.0,
        include_top: bool = True,
        include_preprocessing: bool = False,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: str | Callable[..., Any] | None = "softmax",
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        data_format: str | None = None,
        dtype: Any = None,
        name: str = "metaformer",
        trainable: bool = True,
    ) -> None:
        # === What the arguments mean ===
        check_stages(depths, dims)
        check_rate(drop_path_rate, "drop_path_rate")
        check_rate(head_dropout_rate, "head_dropout_rate")
        if head not in ("linear", "mlp"):
            raise ValueError(f"`head` must be 'linear' or 'mlp'. Received: {head!r}")
        if pooling not in (None, "avg", "max"):
            raise ValueError(f"`pooling` must be None, 'avg' or 'max'. Received: {pooling!r}")
        if include_top and (not isinstance(classes, int) or classes < 1):
            raise ValueError(f"`classes` must be a positive integer. Received: {classes!r}")
        stages = len(depths)
        if position_embedding_stage not in (None, *range(1, stages + 1)):
            raise ValueError(
                f"`position_embedding_stage` must be a stage, 1 to {stages}, or None. "
                f"Received: {position_embedding_stage!r}"
            )
        if position_embedding_size is not None and position_embedding_stage is None:
            raise ValueError(
                "`position_embedding_size` must be None without a `position_embedding_stage`. "
                f"Received: {position_embedding_size!r}"
            )
        if position_embedding_size is not None:
            position_embedding_size = list(
                int_pair(position_embedding_size, "position_embedding_size", 1)
            )
        layout = check_data_format(data_format or keras.config.image_data_format())
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        # Where half a precision would cost accuracy and save no time.
        full = "float32" if policy.compute_dtype in ("float16", "bfloat16") else policy
        mixers = [
            LayerFactory(spec, TOKEN_MIXERS, "token_mixer")
            for spec in per_stage(token_mixer, stages, "token_mixer")
        ]
        norms = [LayerFactory(spec, NORMS, "norm") for spec in per_stage(norm, stages, "norm")]
        stem_norms, downsample_norms = (
            LayerFactory(stem_norm, NORMS, "stem_norm"),
            LayerFactory(downsample_norm, NORMS, "downsample_norm"),
        )
        final_norms = norms[-1]
        if final_norm != "as_blocks":
            final_norms = LayerFactory(final_norm, NORMS, "final_norm")
        ratios = per_stage(mlp_ratios, stages, "mlp_ratios")
        layer_scales = per_stage(layer_scale_init_value, stages, "layer_scale_init_value")
        res_scales = per_stage(res_scale_init_value, stages, "res_scale_init_value")
        rates = drop_path_schedule(drop_path_rate, depths)
        strides = [stem_stride * downsample_stride**stage for stage in range(stages)]

        def from_channels_last(y: Any, layer_name: str) -> Any:
            if layout == "channels_last":
                return y
            return keras.layers.Permute((3, 1, 2), dtype=policy, name=layer_name)(y)

        # === The image ===
        if input_tensor is not None:
            if not keras.backend.is_keras_tensor(input_tensor) or (
                keras.utils.get_source_inputs(input_tensor)[0] is not input_tensor
            ):
                raise ValueError(
                    "`input_tensor` must be a `keras.Input`. For the output of another layer, call "
                    f"the model on it: `model(x)`. Received: {input_tensor!r}"
                )
            input_shape = input_tensor.shape[1:]
        shape = check_input_shape(
            input_shape, 224 if include_top else None, layout, strides[-1], include_preprocessing
        )
        image = keras.Input(shape, name="image") if input_tensor is None else input_tensor
        x = image
        if layout == "channels_first":
            x = keras.layers.Permute((2, 3, 1), dtype=full, name="to_channels_last")(x)
        if include_preprocessing:
            x = imagenet_normalization(name="preprocessing", dtype=full)(x)

        # === Stem and stages ===
        pyramid = {}
        for stage in range(stages):
            prefix = f"stage{stage + 1}"
            if stage > 0 and downsample_norm is not None:
                x = downsample_norms.make(f"{prefix}_downsample_norm", policy)(x)
            x = PatchEmbedding(
                dims[stage],
                stem_patch_size if stage == 0 else downsample_patch_size,
                stem_stride if stage == 0 else downsample_stride,
                stem_padding if stage == 0 else downsample_padding,
                init_std=patch_init_std,
                dtype=policy,
                name="stem" if stage == 0 else f"{prefix}_downsample",
            )(x)
            if stage == 0 and stem_norm is not None:
                x = stem_norms.make("stem_norm", policy)(x)
            if stage + 1 == position_embedding_stage:
                x = PositionEmbedding(
                    position_embedding_size,
                    interpolate=position_embedding_size is not None,
                    dtype=policy,
                    name=f"{prefix}_position_embedding",
                )(x)
            for block in range(depths[stage]):
                x = MetaFormerBlock(
                    mixers[stage].spec,
                    norms[stage].spec,
                    ratios[stage],
                    activation,
                    layer_scales[stage],
                    rates[stage][block],
                    dropout_rate,
                    res_scale_init_value=res_scales[stage],
                    mlp_bias=mlp_bias,
                    residual=residual,
                    custom_gradients=custom_gradients,
                    recompute=recompute,
                    dtype=policy,
                    name=f"{prefix}_block{block + 1}",
                )(x)
            level = f"P{math.log2(strides[stage]):g}"
            pyramid[level] = from_channels_last(x, f"stage{stage + 1}_output")

        # === Head ===
        pool: type[keras.layers.Layer] | None = None
        if include_top or pooling == "avg":
            pool = keras.layers.GlobalAveragePooling2D
        elif pooling == "max":
            pool = keras.layers.GlobalMaxPooling2D
        if pool is None:
            x = final_norms.make("norm", policy)(x)
            x = from_channels_last(x, "features")
        elif norm_after_pool:
            # As a map of one position, which any norm takes.
            x = pool(data_format="channels_last", keepdims=True, dtype=policy, name="pool")(x)
            x = final_norms.make("norm", policy)(x)
            x = keras.layers.Reshape((dims[-1],), dtype=policy, name="vector")(x)
        else:
            x = final_norms.make("norm", policy)(x)
            x = pool(data_format="channels_last", dtype=policy, name="pool")(x)
        if include_top:
            if head == "mlp":
                x = MLPHead(classes, dropout_rate=head_dropout_rate, dtype=policy, name="head")(x)
            else:
                if head_dropout_rate:
                    x = keras.layers.Dropout(head_dropout_rate, dtype=policy, name="head_dropout")(
                        x
                    )
                x = keras.layers.Dense(
                    classes,
                    kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
                    dtype=policy,
                    name="head",
                )(x)
            x = keras.layers.Activation(
                classifier_activation or "linear", dtype=full, name="predictions"
            )(x)
        super().__init__(inputs=image, outputs=x, name=name, trainable=trainable)

        # === Configuration ===
        self.depths, self.dims = tuple(depths), tuple(dims)
        self.include_preprocessing = include_preprocessing
        self.norm_after_pool = bool(norm_after_pool)
        self.token_mixers = tuple(mixer.serialize() for mixer in mixers)
        self.classes = classes if include_top else None
        self.dtype_policy = policy
        self.data_format = layout
        self._channels = image.shape[-1 if layout == "channels_last" else 1]
        self._smallest = strides[-1]
        # In a tuple, which Keras leaves alone: it would wrap a dictionary, and JAX
        # refuses the wrapper as the output of a model.
        self._pyramid = tuple(pyramid.items())
        self._factories = {
            "token_mixer": (isinstance(token_mixer, (list, tuple)), mixers),
            "norm": (isinstance(norm, (list, tuple)), norms),
            "stem_norm": (False, [stem_norms]),
            "downsample_norm": (False, [downsample_norms]),
        }
        if final_norm != "as_blocks":
            self._factories["final_norm"] = (False, [final_norms])
        self._activations = (activation, classifier_activation)
        self._config: dict[str, Any] = {
            "depths": list(depths),
            "dims": list(dims),
            "mlp_ratios": mlp_ratios,
            "layer_scale_init_value": layer_scale_init_value,
            "res_scale_init_value": res_scale_init_value,
            "mlp_bias": mlp_bias,
            "custom_gradients": custom_gradients,
            "recompute": recompute,
            "drop_path_rate": drop_path_rate,
            "dropout_rate": dropout_rate,
            "stem_patch_size": stem_patch_size,
            "stem_stride": stem_stride,
            "stem_padding": stem_padding,
            "downsample_patch_size": downsample_patch_size,
            "downsample_stride": downsample_stride,
            "downsample_padding": downsample_padding,
            "norm_after_pool": norm_after_pool,
            "position_embedding_stage": position_embedding_stage,
            "position_embedding_size": position_embedding_size,
            "residual": residual,
            "patch_init_std": patch_init_std,
            "head": head,
            "head_dropout_rate": head_dropout_rate,
            "include_top": include_top,
            "include_preprocessing": include_preprocessing,
            "pooling": pooling,
            "classes": classes,
            "input_shape": list(shape),
            "data_format": layout,
        }

    @property
    def pyramid_outputs(self) -> dict[str, Any]:
        """The raw output of every stage, by the logarithm of its stride: `"P2"`, ..."""
        return dict(self._pyramid)

    def norm_factory(self, argument: str) -> LayerFactory:
        """Returns what makes the norms of the last stage that an argument describes.

        Args:
            argument: `"norm"`, `"stem_norm"`, `"downsample_norm"` or `"final_norm"`.
        """
        if argument == "final_norm" and argument not in self._factories:
            argument = "norm"
        return self._factories[argument][1][-1]

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Classifies images, or returns their features."""
        check_images(inputs.shape, self.data_format, self._smallest, self._channels)
        return super().call(inputs, training=training, mask=mask)

    def get_config(self) -> dict[str, Any]:
        activation, classifier_activation = map(serialize_activation, self._activations)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "activation": activation,
            "classifier_activation": classifier_activation,
            **{
                argument: [factory.serialize() for factory in factories]
                if is_by_stage
                else factories[0].serialize()
                for argument, (is_by_stage, factories) in self._factories.items()
            },
            **self._config,
        }


def find_metaformer(model: Any) -> MetaFormer:
    """Returns the MetaFormer that a model is, or holds among other layers.

    Raises:
        ValueError: if there is none, or more than one.
    """
    if isinstance(model, MetaFormer):
        return model
    held = [layer for layer in getattr(model, "layers", []) if isinstance(layer, MetaFormer)]
    if len(held) != 1:
        raise ValueError(
            "`model` must be a `keras_poolformer.MetaFormer`, or hold one. "
            f"Received: {getattr(model, 'name', model)!r}, which holds {len(held) or 'none'}"
        )
    return held[0]
