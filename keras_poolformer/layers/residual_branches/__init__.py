"""The two residual branches of a PoolFormer block as one function each, with its own gradient.

Layer by layer a block writes and reads its map, or the four times larger one inside the
MLP, more than twenty times forward and backward, and memory is what a PoolFormer waits for.
Two things make it fewer:

- The pooling leaves the padding out, so it keeps constants: mean and shift of the first
  norm cancel in `pool(x) - x`, and so do their gradients. Scale and shift of the second
  norm, and both LayerScales, are products with the small matrices of the MLP.
- The gradients need the branch's input and the MLP's hidden map before its activation, and
  nothing else: the rest is computed once more where it is used, a part of the batch at a
  time that fits into the processor's cache.

With x' = (x - mean) / deviation of a sample, `f` what stochastic depth multiplies it by:

    pooling_branch(x) = x + f * scale * (pool(x') - x')
    mlp_branch(x)     = x + f * (gelu(x' @ w1 + b1) @ w2 + b2), all folded into w1, b1, w2, b2

Nothing is approximated. `docs/fusion.md` derives the algebra; `docs/performance.md` has what
it brings.
"""

from keras_poolformer.layers.residual_branches.compilers import takes
from keras_poolformer.layers.residual_branches.mlp import mlp_branch
from keras_poolformer.layers.residual_branches.mlp_weights import MLPWeights
from keras_poolformer.layers.residual_branches.pooling import folded_scale, pooling_branch

__all__ = ["MLPWeights", "folded_scale", "mlp_branch", "pooling_branch", "takes"]
