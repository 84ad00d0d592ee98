"""The branches of a PoolFormer block as functions: what the layers give, forward and backward."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_poolformer.layers import MetaFormerBlock, Pooling, StochasticDepth, cache
from tests.backends import BACKEND, relative_error, run, to_numpy, value_and_gradients

SHAPE = (5, 14, 9, 32)


def blocks(shape=SHAPE, dtype="float32", **arguments):
    """A block that runs as functions, and one with its weights that runs layer by layer."""
    arguments = {"layer_scale_init_value": 0.5, **arguments}
    pair = []
    for custom in (True, False):
        arguments["recompute"] = custom and arguments.get("recompute", False)
        block = MetaFormerBlock(custom_gradients=custom, dtype=dtype, name="block", **arguments)
        pair.append(
            keras.Sequential([keras.Input(shape[1:], dtype="float32"), block], name="model")
        )
    draw = np.random.default_rng(0)
    weights = [
        (0.2 if weight.ndim == 2 else 1.0) * draw.standard_normal(weight.shape, dtype="float32")
        for weight in pair[0].get_weights()
    ]
    for model in pair:
        model.set_weights(weights)
    return pair


def normal(shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape, dtype="float32")


def both_gradients(pair, x):
    target = ops.convert_to_tensor(normal(x.shape, 2))
    return [
        value_and_gradients(model, lambda y: ops.sum(ops.cast(y, "float32") * target), x)[1]
        for model in pair
    ]


VARIATIONS = {
    "as it is": {},
    "a window of 5": {"token_mixer": Pooling(5)},
    "without LayerScale": {"layer_scale_init_value": None},
    "without biases in the MLP": {"mlp_bias": False},
    "half the hidden channels": {"mlp_ratio": 2},
    "the hidden map computed twice": {"recompute": True},
}


@pytest.mark.parametrize("variation", VARIATIONS)
def test_outputs_and_gradients_are_those_of_the_layers(variation):
    pair = blocks(**VARIATIONS[variation])
    x = normal(SHAPE)
    assert relative_error(*(run(model, x) for model in pair)) < 1e-6
    fast, layered = both_gradients(pair, x)
    assert len(fast) == len(layered)
    for (path, gradient), expected in zip(fast.items(), layered.values(), strict=True):
        if path.endswith("norm1/beta"):
            continue
        assert relative_error(gradient, expected) < 3e-6, path


def test_a_shift_of_the_first_norm_has_a_gradient_of_zero():
    fast, layered = both_gradients(blocks(), normal(SHAPE))
    path = next(path for path in fast if path.endswith("norm1/beta"))
    assert np.all(fast[path] == 0)
    assert np.abs(next(g for p, g in layered.items() if p.endswith("norm1/beta"))).max() < 1e-3


@pytest.mark.parametrize("shape", [(3, 1, 1, 8), (1, 2, 7, 16), (4, 16, 16, 16)])
def test_at_small_and_square_maps(shape):
    pair = blocks(shape)
    x = normal(shape)
    assert relative_error(*(run(model, x) for model in pair)) < 1e-6
    for (path, gradient), expected in zip(
        *(g.items() if i == 0 else g.values() for i, g in enumerate(both_gradients(pair, x))),
        strict=True,
    ):
        if not path.endswith("norm1/beta"):
            # Some are zero: nothing is left of the mean of one position.
            assert np.linalg.norm(gradient - expected) < 3e-6 * max(
                1.0, np.linalg.norm(expected)
            ), path


@pytest.mark.parametrize("cached", [4096, 40_000, 300_000])
def test_parts_of_a_batch_add_up_to_the_whole(monkeypatch, cached):
    # A sample of this map takes 64,512 bytes in the hidden layer.
    whole = both_gradients(blocks()[:1], normal(SHAPE))[0]
    output = run(blocks()[0], normal(SHAPE))
    monkeypatch.setattr(cache, "CACHED_BYTES", cached)
    parts = both_gradients(blocks()[:1], normal(SHAPE))[0]
    assert relative_error(run(blocks()[0], normal(SHAPE)), output) < 3e-7
    for path in whole:
        if not path.endswith("norm1/beta"):
            assert relative_error(parts[path], whole[path]) < 1e-6, path


def test_stochastic_depth_drops_what_it_drops_layer_by_layer(monkeypatch):
    """The same samples, since both draw their factors from one place."""
    kept = np.array([0, 2, 0, 2, 2], "float32").reshape(-1, 1, 1, 1)
    monkeypatch.setattr(
        StochasticDepth,
        "factors",
        lambda self, inputs, training: ops.convert_to_tensor(kept) if training else None,
    )
    pair = blocks(drop_path_rate=0.5)
    x = normal(SHAPE)
    outputs = [run(lambda t, model=model: model(t, training=True), x) for model in pair]
    assert relative_error(*outputs) < 1e-6
    assert np.array_equal(outputs[0][0], x[0])
    assert not np.array_equal(outputs[0][1], x[1])

    class Training(keras.Model):
        def __init__(self, model):
            super().__init__()
            self.model = model
            self(np.zeros_like(x))  # which builds it

        def call(self, inputs):
            return self.model(inputs, training=True)

    fast, layered = both_gradients([Training(model) for model in pair], x)
    for (path, gradient), expected in zip(fast.items(), layered.values(), strict=True):
        if not path.endswith("norm1/beta"):
            assert relative_error(gradient, expected) < 3e-6, path


@pytest.mark.parametrize("mean", [100.0, 5000.0])
def test_stays_accurate_where_the_mean_is_large(mean):
    fast, _ = blocks()
    x = normal(SHAPE) + np.float32(mean)
    # The network in float64 knows the truth about these float32 images.
    exact, _ = blocks(dtype="float64")
    expected = np.asarray(
        ops.convert_to_numpy(exact(ops.convert_to_tensor(x.astype("float64"), dtype="float64")))
    )
    error = np.linalg.norm(run(fast, x) - expected) / np.linalg.norm(expected - x)
    assert error < 2e-7 * mean


def test_under_mixed_precision_it_errs_no_more_than_the_layers():
    x = normal(SHAPE)
    exact = run(blocks()[1], x)
    fast, layered = (
        relative_error(to_numpy(model(ops.convert_to_tensor(x))), exact)
        for model in blocks(dtype="mixed_bfloat16")
    )
    assert fast < 1.2 * layered
    assert layered < 2e-2
    gradients = both_gradients(blocks(dtype="mixed_bfloat16")[:1], x)[0]
    expected = both_gradients(blocks()[:1], x)[0]
    for path, wanted in expected.items():
        if not path.endswith("norm1/beta"):
            assert relative_error(gradients[path], wanted) < 5e-2, path


def test_frozen_weights_leave_the_gradient_of_the_others():
    fast, layered = blocks()
    for model in (fast, layered):
        model.layers[0].mlp.trainable = False
    found, expected = both_gradients((fast, layered), normal(SHAPE))
    assert not any("/mlp/" in path for path in found)
    path = next(path for path in found if path.endswith("norm1/gamma"))
    assert relative_error(found[path], list(expected.values())[list(found).index(path)]) < 3e-6


def test_a_quantised_mlp_runs_as_a_layer():
    model, _ = blocks()
    before = run(model, normal(SHAPE))
    model.layers[0].mlp.fc1.quantize("int8")
    after = to_numpy(model(ops.convert_to_tensor(normal(SHAPE))))
    assert 0 < relative_error(after, before) < 0.05


@pytest.mark.parametrize("custom", [True, False])
def test_the_choice_is_serialised(custom):
    block = MetaFormerBlock(custom_gradients=custom)
    assert MetaFormerBlock.from_config(block.get_config()).custom_gradients is custom


@pytest.mark.parametrize(
    "arguments",
    [
        {"custom_gradients": False},
        {"norm": "layer_norm"},
        {"activation": "relu"},
        {"dropout_rate": 0.1},
        {"res_scale_init_value": 1.0},
    ],
)
def test_only_a_poolformer_can_compute_its_hidden_map_twice(arguments):
    with pytest.raises(ValueError, match="`recompute` must be False for blocks other than"):
        MetaFormerBlock(recompute=True, **arguments)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow has no limits of this kind")
def test_further_derivatives_need_the_layers():
    """What `custom_gradients=False` is for, as the documentation says."""
    fast, layered = blocks()
    x = normal(SHAPE)
    if BACKEND == "torch":
        import torch

        def second(model):
            t = torch.tensor(x, requires_grad=True)
            (first,) = torch.autograd.grad(model(t).sum(), t, create_graph=True)
            return torch.autograd.grad(first.square().sum(), t)[0]

        with pytest.raises(RuntimeError, match="`custom_gradients` must be False"):
            second(fast)
        assert float(second(layered).abs().max()) > 0
        return
    import jax

    def slope(model):
        return jax.jvp(lambda t: model(t).sum(), (x,), (np.ones_like(x),))[1]

    with pytest.raises(TypeError, match="forward-mode"):
        slope(fast)
    assert np.isfinite(float(slope(layered)))
