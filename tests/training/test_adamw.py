"""PyTorch's fused AdamW against Keras's own."""

import keras
import numpy as np
import pytest

from tests.backends import BACKEND
from training.adamw import FusedAdamW, adamw_class


def test_the_class_is_that_of_the_backend():
    expected = FusedAdamW if BACKEND == "torch" else keras.optimizers.AdamW
    assert adamw_class() is expected


@pytest.mark.skipif(BACKEND != "torch", reason="only torch has a fused AdamW")
class TestFused:
    @staticmethod
    def train(kind, **options):
        """Returns the weights and moments after six steps with gradients in odd memory orders."""
        import torch

        torch.manual_seed(0)
        shapes = ((3, 3, 8, 16), (16, 24), (24,), ())
        weights = [keras.Variable(torch.randn(shape), name=f"w{len(shape)}") for shape in shapes]
        schedule = keras.optimizers.schedules.CosineDecay(0.1, 6, alpha=0.1)
        optimizer = kind(schedule, weight_decay=0.2, beta_2=0.99, **options)
        optimizer.exclude_from_weight_decay(var_list=weights[2:])
        optimizer.build(weights)
        for _ in range(6):
            gradients = [1e-4 * torch.randn(shape[::-1]).numpy().T for shape in shapes]
            gradients = [torch.as_tensor(gradient) for gradient in gradients]
            optimizer.apply(gradients, weights)
        return [keras.ops.convert_to_numpy(v) for v in (*weights, *optimizer.variables)]

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"epsilon": 1e-3},
            {"global_clipnorm": 0.01},
            {"use_ema": True, "ema_momentum": 0.5},
            {"gradient_accumulation_steps": 2},
        ],
        ids=lambda options: next(iter(options), "plain"),
    )
    def test_the_numbers_are_those_of_keras(self, options):
        ours, theirs = (
            self.train(kind, **options) for kind in (FusedAdamW, keras.optimizers.AdamW)
        )
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-6 * np.abs(other).max())

    def test_it_is_saved_and_loaded(self, tmp_path):
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
        model.compile(FusedAdamW(1e-2, weight_decay=0.1), "mse")
        x, y = np.ones((8, 4), "float32"), np.zeros((8, 2), "float32")
        model.fit(x, y, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert type(loaded.optimizer) is FusedAdamW
        for kind in (model, loaded):
            kind.fit(x, y, verbose=0)
        np.testing.assert_allclose(*(m.get_weights()[0] for m in (model, loaded)), rtol=1e-6)

    def test_what_it_cannot_do_is_named(self):
        with pytest.raises(ValueError, match="`amsgrad` must be False"):
            FusedAdamW(amsgrad=True)


@pytest.mark.skipif(BACKEND == "torch", reason="torch is the backend it is made for")
def test_other_backends_are_refused():
    with pytest.raises(ValueError, match="torch backend only"):
        FusedAdamW()
