"""The builders of the first paper's identity model and hybrids, as users call them."""

import inspect

import keras
import numpy as np
import pytest
import torch

import keras_poolformer
from keras_poolformer import inference
from keras_poolformer.layers import (
    ChannelLayerNorm,
    GroupNorm1,
    Pooling,
    SelfAttention,
    SpatialFullyConnected,
)
from keras_poolformer.variants import FAMILIES, name_of
from tests.backends import only_under, relative_error, slow_except_under, to_numpy
from tests.test_poolformer import CONVENTIONAL

HYBRIDS = [f.name for f in FAMILIES.values() if f.generation == 1 and f.name != "PoolFormer"]
every_hybrid = pytest.mark.parametrize("family", HYBRIDS)
# Few blocks and channels: what a builder sets beside its stages.
TINY = {"depths": [1, 1, 1, 1], "dims": [8, 12, 32, 64], "input_shape": (64, 96, 3), "classes": 5}
POOLFORMER_S12 = 11_915_176


def builder(family):
    return getattr(keras_poolformer, f"{family}S12")


def randomized(model, rng):
    for weight in model.weights:
        weight.assign(to_numpy(weight) + 0.3 * rng.standard_normal(weight.shape))
    return model


def test_all_of_the_official_code_are_there():
    assert {name.removeprefix("MetaFormer") for name in HYBRIDS} == {
        *("Identity", "PPPA", "PPAA", "PPPF", "PPFF"),
    }


@every_hybrid
def test_builders_have_the_names_and_the_signature_of_all_others(family):
    build, variant = builder(family), FAMILIES[family].variants["S12"]
    assert build.__name__ == f"{family}S12"
    assert list(inspect.signature(build).parameters)[:9] == CONVENTIONAL
    assert f"{variant.top1} %" in build.__doc__
    assert "table 5" in build.__doc__
    assert build.__name__ in keras_poolformer.__all__


@only_under("torch", "parameters are counted the same everywhere")
@pytest.mark.parametrize(
    ("family", "beyond"),
    [
        ("MetaFormerIdentity", 0),
        # In a block 3 C^2 for queries, keys and values, C^2 + C after them; 7 x 7 vectors.
        ("MetaFormerPPPA", 2 * (4 * 512**2 + 512) + 7 * 7 * 512),
        (
            "MetaFormerPPAA",
            6 * (4 * 320**2 + 320) + 2 * (4 * 512**2 + 512) + 14 * 14 * 320,
        ),
        ("MetaFormerPPPF", 2 * 49**2),
        ("MetaFormerPPFF", 6 * 196**2 + 2 * 49**2),
    ],
)
def test_exact_parameter_counts(family, beyond):
    with torch.device("meta"):
        model = builder(family)()
    assert model.name == f"metaformer_{family.removeprefix('MetaFormer').lower()}_s12"
    assert model.output_shape == (None, 1000)
    assert model.count_params() == FAMILIES[family].variants["S12"].parameters
    assert model.count_params() == POOLFORMER_S12 + beyond
    assert model.non_trainable_weights == []
    assert name_of(model) == f"{family}S12"
    assert name_of(keras_poolformer.MetaFormer.from_config(model.get_config())) == f"{family}S12"


@pytest.mark.parametrize(
    ("family", "mixers", "norm", "embedding"),
    [
        ("MetaFormerIdentity", [keras.layers.Identity] * 4, GroupNorm1, None),
        ("MetaFormerPPPA", [*[Pooling] * 3, SelfAttention], ChannelLayerNorm, (4, (2, 3, 64))),
        (
            "MetaFormerPPAA",
            [*[Pooling] * 2, *[SelfAttention] * 2],
            ChannelLayerNorm,
            (3, (4, 6, 32)),
        ),
        ("MetaFormerPPPF", [*[Pooling] * 3, SpatialFullyConnected], GroupNorm1, None),
        ("MetaFormerPPFF", [*[Pooling] * 2, *[SpatialFullyConnected] * 2], GroupNorm1, None),
    ],
)
def test_parts(family, mixers, norm, embedding):
    model = builder(family)(**TINY)
    blocks = [model.get_layer(f"stage{stage}_block1") for stage in (1, 2, 3, 4)]
    assert [type(block.token_mixer) for block in blocks] == mixers
    for block in blocks:
        assert (block.layer_scale_init_value, block.res_scale_init_value) == (1e-5, None)
        if isinstance(block.token_mixer, SelfAttention):
            assert block.token_mixer.head_dim == 32
            assert (block.token_mixer.qkv.use_bias, block.token_mixer.proj.use_bias) == (0, 1)
    norms = [norm for block in blocks for norm in (block.norm1, block.norm2)]
    norms.append(model.get_layer("norm"))  # the last one is that of the blocks
    assert {(type(norm), norm.epsilon, norm.center) for norm in norms} == {(norm, 1e-5, True)}
    names = [layer.name for layer in model.layers]
    if embedding is None:
        assert not any("position_embedding" in name for name in names)
    else:
        stage, shape = embedding
        where = names.index(f"stage{stage}_position_embedding")
        assert names[where - 1] == f"stage{stage}_downsample"
        assert names[where + 1] == f"stage{stage}_block1"
        weight = model.get_layer(names[where]).embedding
        assert tuple(weight.shape) == shape
        np.testing.assert_array_equal(to_numpy(weight), 0)


@pytest.mark.parametrize(
    ("family", "crop_pct"), zip(HYBRIDS, [0.9, 0.95, 0.95, 0.9, 0.95], strict=True)
)
def test_evaluation_transform(family, crop_pct):
    variants = FAMILIES[family].variants
    assert variants["S12"].crop_pct == crop_pct
    with keras.StatelessScope(initialize_variables=False):  # only the shapes are of interest
        model = builder(family)()
    assert keras_poolformer.evaluation_transform(model).crop_pct == crop_pct


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(f, marks=() if i % 3 == 0 else slow_except_under("tensorflow", "torch"))
        for i, f in enumerate(HYBRIDS)
    ],
)
def test_files_preprocessing_and_fusion(family, tmp_path, rng):
    model = randomized(builder(family)(**TINY, include_preprocessing=True), rng)
    pixels = rng.integers(0, 256, (2, 64, 96, 3)).astype("float32")
    expected = model.predict(pixels, verbose=0)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded.predict(pixels, verbose=0), expected)
    fused = inference.fuse(model)
    assert relative_error(fused.predict(pixels, verbose=0), expected) < 1e-5
    backbone = builder(family)(
        **TINY, include_top=False, pooling="avg", weights=tmp_path / "model.keras"
    )
    assert backbone.output_shape == (None, 64)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("MetaFormerPPAA", "PositionEmbedding.*known height.*`position_embedding_size`"),
        ("MetaFormerPPFF", "SpatialFullyConnected.*known height.*`input_shape`"),
    ],
)
def test_weights_of_one_size_need_a_size(family, message):
    with pytest.raises(ValueError, match=message):
        builder(family)(include_top=False)


@pytest.mark.parametrize(
    "data_format",
    [
        "channels_last",
        pytest.param("channels_first", marks=slow_except_under("tensorflow", "torch")),
    ],
)
def test_with_a_size_of_its_own_the_embedding_takes_every_image(data_format, rng):
    """At the size that it was made for as if it were fixed, elsewhere interpolated."""
    kwargs = {**TINY, "position_embedding_size": (4, 6), "data_format": data_format}
    is_first = data_format == "channels_first"
    shape = (3, None, None) if is_first else (None, None, 3)
    model = builder("MetaFormerPPAA")(**{**kwargs, "input_shape": shape})
    randomized(model, rng)
    fixed = builder("MetaFormerPPAA")(**TINY)
    fixed.set_weights(model.get_weights())
    for size in [(64, 96), (80, 48)]:
        x = rng.standard_normal((1, *size, 3)).astype("float32")
        y = model.predict(np.moveaxis(x, -1, 1) if is_first else x, verbose=0)
        if size != (64, 96):
            embedding = torch.from_numpy(
                to_numpy(fixed.get_layer("stage3_position_embedding").embedding)
            )
            embedding = torch.nn.functional.interpolate(
                embedding.permute(2, 0, 1)[None], (5, 3), mode="bicubic"
            )[0].permute(1, 2, 0)
            own = builder("MetaFormerPPAA")(**{**TINY, "input_shape": (*size, 3)})
            weights = {w.path: to_numpy(w) for w in fixed.weights}
            weights["stage3_position_embedding/embedding"] = embedding.numpy()
            own.set_weights([weights[w.path] for w in own.weights])
            fixed = own
        np.testing.assert_allclose(y, fixed.predict(x, verbose=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", ["MetaFormerPPAA", "MetaFormerPPFF"])
def test_another_size_of_image_is_refused(family):
    with pytest.raises(ValueError, match=r"expected shape=\(None, 64, 96, 3\)"):
        builder(family)(**TINY)(np.zeros((1, 96, 64, 3), "float32"))


@pytest.mark.parametrize("weights", ["imagenet", "poolformer_s12"])
def test_presets_of_poolformer_are_refused(weights):
    with pytest.raises(ValueError, match=f"`weights` must be .*'{weights}'"):
        keras_poolformer.MetaFormerPPAAS12(weights=weights)


@slow_except_under("tensorflow", "torch")
def test_mixers_are_recognised_however_they_were_written():
    named = keras_poolformer.MetaFormer(
        [2, 2, 6, 2], [64, 128, 320, 512], token_mixer=["pooling", Pooling, Pooling(3), Pooling(5)],
        input_shape=(32, 32, 3),
    )  # fmt: skip
    assert name_of(named) == "PoolFormerS12"  # with a mixer of no family
    s12 = keras_poolformer.PoolFormerS12
    assert name_of(s12(token_mixer=None)) == "MetaFormerIdentityS12"
    assert name_of(s12(token_mixer=Pooling())) == "PoolFormerS12"
    attention = [Pooling, Pooling, Pooling, SelfAttention(use_projection_bias=True)]
    assert name_of(s12(token_mixer=attention)) == "MetaFormerPPPAS12"
