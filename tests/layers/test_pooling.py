"""AveragePool2D is torch.nn.AvgPool2d, in every valid combination of its arguments."""

import keras
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keras import ops

from keras_poolformer.layers import AveragePool2D
from tests.backends import BACKEND, in_one_piece, run, run_with_gradient, to_numpy


@st.composite
def pooling_cases(draw):
    """Arguments and map sizes, of which torch accepts most."""
    pool, stride = (tuple(draw(st.integers(1, limit)) for _ in range(2)) for limit in (6, 4))
    padding = tuple(draw(st.integers(0, k // 2)) for k in pool)
    size = tuple(draw(st.integers(1, 13)) for _ in range(2))
    return size, pool, stride, padding, draw(st.booleans()), draw(st.booleans())


def torch_pool(x, *arguments):
    """torch's result, and its gradient of the sum of squares; None where it refuses."""
    x = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_(True)
    try:
        y = torch.nn.functional.avg_pool2d(x, *arguments)
    except RuntimeError:
        return None
    (y * y).sum().backward()
    return (y.detach().numpy().transpose(0, 2, 3, 1), x.grad.numpy().transpose(0, 2, 3, 1))


# JAX compiles each of them.
@settings(max_examples=30 if BACKEND == "jax" else 100, deadline=None, derandomize=True)
@given(pooling_cases())
@example(((4, 4), (3, 3), (2, 2), (0, 0), True, True))  # the last window hangs over the edge
@example(((4, 4), (3, 3), (2, 2), (1, 1), True, True))  # ... over the padding as well
@example(((5, 5), (2, 2), (3, 3), (1, 1), True, False))  # ... starts in the right padding
@example(((2, 2), (3, 3), (2, 2), (0, 0), True, False))  # ... and is the only one
@example(((3, 4), (3, 3), (1, 1), (1, 1), False, False))  # PoolFormer's own, channels == width
@example(((7, 5), (4, 2), (1, 1), (2, 1), False, False))  # even windows gain a row
def test_equals_torch_for_every_valid_combination(case):
    size, pool, stride, padding, ceil_mode, count_include_pad = case
    x = np.random.default_rng(0).standard_normal((2, *size, 4)).astype("float32")
    expected = torch_pool(x, pool, stride, padding, ceil_mode, count_include_pad)
    layer = AveragePool2D(pool, stride, padding, ceil_mode, count_include_pad)
    if expected is None:
        with pytest.raises(ValueError, match="does not fit"):
            layer(x)
        return

    first = AveragePool2D(
        pool, stride, padding, ceil_mode, count_include_pad, data_format="channels_first"
    )

    def in_both_layouts(t):
        z = first(ops.transpose(t, (0, 3, 1, 2)))
        return ops.stack([layer(t), ops.transpose(z, (0, 2, 3, 1))])

    (y, z), gradient = run_with_gradient(in_both_layouts, x)
    assert y.shape == expected[0].shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(y, expected[0], rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(z, expected[0], rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(gradient, 2 * expected[1], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize(("pool", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (2, 3, 1)])
def test_open_height_and_width(pool, stride, padding, ceil_mode, count_include_pad, rng):
    layer = AveragePool2D(pool, stride, padding, ceil_mode, count_include_pad)
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layer(image))
    assert model.output_shape == (None, None, None, 3)
    function = in_one_piece(model)
    if BACKEND == "tensorflow":  # sizes that are unknown while the graph is made
        import tensorflow as tf

        function = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for size in [(4, 7), (5, 5), (9, 6)]:
        x = rng.standard_normal((2, *size, 3)).astype("float32")
        expected = torch_pool(x, pool, stride, padding, ceil_mode, count_include_pad)[0]
        np.testing.assert_allclose(
            to_numpy(function(ops.convert_to_tensor(x))), expected, rtol=2e-6, atol=2e-6
        )


def test_excluding_the_padding_keeps_a_constant():
    layer = AveragePool2D(3, 1, 1, count_include_pad=False)
    np.testing.assert_allclose(run(layer, np.full((1, 5, 4, 2), 7, "float32")), 7, rtol=1e-6)


def test_the_examples_of_the_docstring():
    row = np.arange(1, 6, dtype="float32").reshape(1, 1, 5, 1)
    pool = ((1, 3), (1, 2), (0, 1))
    counted = AveragePool2D(*pool, count_include_pad=True)(row)
    excluded = AveragePool2D(*pool, count_include_pad=False)(row)
    assert to_numpy(counted).ravel().tolist() == pytest.approx([1, 3, 3])
    assert to_numpy(excluded).ravel().tolist() == pytest.approx([1.5, 3, 4.5])
    for count_include_pad in (False, True):
        kept = AveragePool2D((1, 3), (1, 2), 0, True, count_include_pad)(row[:, :, :4])
        assert to_numpy(kept).ravel().tolist() == pytest.approx([2, 3.5])


def test_half_precision_sums_in_float32(rng):
    x = ops.cast(rng.standard_normal((2, 14, 14, 8)).astype("float32") + 4, "bfloat16")
    expected = torch_pool(to_numpy(x), 3, 1, 1, False, False)[0]
    y = AveragePool2D(3, 1, 1, count_include_pad=False, dtype="bfloat16")(x)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    # Half a unit in the last place of a bfloat16 between 4 and 8.
    assert np.abs(to_numpy(y) - expected).max() <= 2**-6 * 1.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pool_size": 0}, "`pool_size` must be an integer of at least 1"),
        ({"pool_size": (3, 3, 3)}, "`pool_size` must be"),
        ({"pool_size": 3, "strides": 0}, "`strides` must be an integer of at least 1"),
        ({"pool_size": 3, "padding": 2}, "`padding` must be at most half of `pool_size`"),
        ({"pool_size": 3, "padding": -1}, "`padding` must be an integer of at least 0"),
        ({"pool_size": 3, "data_format": "NHWC"}, "`data_format` must be.*'NHWC'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        AveragePool2D(**arguments)


def test_a_wrong_rank_is_refused():
    with pytest.raises(ValueError, match="rank 4"):
        AveragePool2D(2)(np.zeros((4, 4, 3), "float32"))
