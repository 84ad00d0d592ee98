"""Operations of torch itself, in place of Keras's."""

import keras
import pytest
import torch
import torch.nn.functional as F

from tests.backends import relative_error

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="only the torch backend has them"
)

ROUNDING = {torch.float64: 1e-14, torch.float32: 1e-6, torch.bfloat16: 4e-3}


@pytest.fixture
def native():
    from keras_poolformer.layers import torch_native

    return torch_native


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("is_transposed", [False, True], ids=["matrix", "view of its transpose"])
@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
def test_a_linear_map(native, dtype, is_transposed, has_bias, gelu):
    rows, bias = torch.randn(50, 24, dtype=dtype), torch.randn(36, dtype=dtype)
    matrix = (
        torch.randn(36, 24, dtype=dtype).t() if is_transposed else torch.randn(24, 36).to(dtype)
    )
    bias = bias if has_bias else None
    expected = rows.double() @ matrix.double() + (0 if bias is None else bias.double())
    expected = F.gelu(expected) if gelu else expected
    with torch.no_grad():
        y = native.linear(rows, matrix, bias, gelu)
    assert y.dtype == dtype
    assert relative_error(y.float() if dtype == torch.bfloat16 else y, expected) < ROUNDING[dtype]


def test_a_linear_map_has_a_gradient_where_one_is_asked_for(native):
    rows, matrix, bias = (torch.randn(s, requires_grad=True) for s in ((5, 3), (3, 4), (4,)))
    ours = torch.autograd.grad(
        native.linear(rows, matrix, bias, gelu=True).square().sum(), (rows, matrix, bias)
    )
    theirs = torch.autograd.grad(F.gelu(rows @ matrix + bias).square().sum(), (rows, matrix, bias))
    for mine, other in zip(ours, theirs, strict=True):
        assert relative_error(mine, other) < 1e-6


def test_without_onednn_a_linear_map_is_the_same(native, monkeypatch):
    rows, matrix, bias = torch.randn(50, 24), torch.randn(24, 36), torch.randn(36)
    with torch.no_grad():
        fast = native.linear(rows, matrix, bias, gelu=True)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        slow = native.linear(rows, matrix, bias, gelu=True)
    assert relative_error(fast, slow) < 1e-6


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("filters", [8, 200], ids=["large map", "large kernel"])
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.enable_grad])
def test_a_convolution(native, mode, filters, dtype):
    """With 200 filters there are fewer positions than filters: patches are moved."""
    x, kernel = torch.randn(2, 13, 21, 6).to(dtype), torch.randn(5, 3, 6, filters).to(dtype)
    bias = torch.randn(filters).to(dtype)
    expected = F.conv2d(
        x.double().permute(0, 3, 1, 2),
        kernel.double().permute(3, 2, 0, 1),
        bias.double(),
        (2, 3),
        (1, 2),
    )
    with mode():
        y = native.conv(x, kernel, bias, (2, 3), (1, 2))
    assert y.dtype == dtype
    assert relative_error(y.double(), expected.permute(0, 2, 3, 1)) < ROUNDING[dtype]


def test_a_batch_without_images(native):
    with torch.no_grad():
        y = native.conv(
            torch.ones(0, 13, 21, 6), torch.ones(3, 3, 6, 8), torch.ones(8), (2, 2), (1, 1)
        )
        assert y.shape == (0, 7, 11, 8)
        assert native.linear(
            torch.ones(0, 6), torch.ones(6, 8), torch.ones(8), gelu=True
        ).shape == (0, 8)
