"""What an MLP branch multiplies by."""

from typing import Any, NamedTuple

from keras import ops

from keras_poolformer.layers.precision import full_precision
from keras_poolformer.layers.residual_branches.maps import value


class MLPWeights(NamedTuple):
    """What an MLP branch has of a norm, an MLP and a LayerScale.

    `gamma` and `beta` (C,) are the norm's, `w1` (C, hidden), `b1` (hidden,), `w2` (hidden, C)
    and `b2` (C,) the MLP's, `scale` (C,) is the LayerScale. `None` stands for one that is not
    there. Matrices have the dtype of the products, all else float32 or better: for one image
    in bfloat16, copies of matrices take as much time as products.
    """

    gamma: Any
    beta: Any
    w1: Any
    b1: Any
    w2: Any
    b2: Any
    scale: Any

    @classmethod
    def of(cls, norm: Any, mlp: Any, layer_scale: Any) -> "MLPWeights":
        """Returns those of a `GroupNorm1`, a `ChannelMLP` and a `LayerScale` or `None`."""
        w1, w2 = (ops.cast(linear.kernel, linear.compute_dtype) for linear in (mlp.fc1, mlp.fc2))
        scale = None if layer_scale is None else layer_scale.gamma
        gamma, beta, b1, b2, scale = (
            None if weight is None else value(weight)
            for weight in (norm.gamma, norm.beta, mlp.fc1.bias, mlp.fc2.bias, scale)
        )
        return cls(gamma, beta, w1, b1, w2, b2, scale)

    def folded(self) -> tuple[Any, Any, Any, Any]:
        """Returns the two matrices and biases that remain of them all, in float32 or better."""
        _, beta, w1, b1, w2, b2, scale = self
        w1, w2 = full_precision(w1), full_precision(w2)
        b1, b2 = (ops.zeros_like(w[0]) if b is None else b for b, w in ((b1, w1), (b2, w2)))
        if beta is not None:
            b1 = b1 + ops.matmul(beta, w1)
        if self.gamma is not None:
            w1 = w1 * self.gamma[:, None]
        if scale is not None:
            w2, b2 = w2 * scale, b2 * scale
        return w1, b1, w2, b2

    def unfolded(self, dw1: Any, db1: Any, dw2_transposed: Any, db2: Any) -> tuple[Any, ...]:
        """Returns the gradients of them all from those of what `folded` returns.

        That of the second matrix comes as its transpose, (C, hidden): XLA multiplies (64, 3136)
        by (3136, 256) at 94 GFLOP/s a core, and (256, 3136) by (3136, 64) at 55.
        """
        gamma, beta, w1, b1, w2, b2, scale = self
        w1, w2 = full_precision(w1), full_precision(w2)
        dgamma = None if gamma is None else ops.sum(dw1 * w1, 1)
        dbeta = None if beta is None else ops.matmul(w1, db1)
        dscale = None if scale is None else ops.sum(dw2_transposed * ops.transpose(w2), 1)
        if dscale is not None and b2 is not None:
            dscale = dscale + db2 * b2
        if gamma is not None:
            dw1 = dw1 * gamma[:, None]
        if beta is not None:
            dw1 = dw1 + beta[:, None] * db1
        if scale is not None:
            dw2_transposed, db2 = dw2_transposed * scale[:, None], db2 * scale
        db1, db2 = (None if b is None else db for b, db in ((b1, db1), (b2, db2)))
        dw1 = ops.cast(dw1, self.w1.dtype)
        dw2 = ops.cast(ops.transpose(dw2_transposed), self.w2.dtype)
        return dgamma, dbeta, dw1, db1, dw2, db2, dscale
