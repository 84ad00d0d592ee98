"""Parts of a graph that XLA compiles on TensorFlow, where they do and where they do not."""

import keras
import numpy as np
import pytest

from keras_poolformer.layers import MetaFormerBlock
from tests.backends import relative_error

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="only TensorFlow has graphs in part compiled"
)


@pytest.fixture
def native():
    from keras_poolformer.layers import tensorflow_native

    tensorflow_native.compiles_parts.cache_clear()
    yield tensorflow_native
    tensorflow_native.compiles_parts.cache_clear()


def step(dtype="float32", size=(9, 6), seen=(9, 6), **arguments):
    """Returns outputs and gradients of a block in training, and the graph that computes them."""
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    block = MetaFormerBlock(dtype=dtype, layer_scale_init_value=0.5, **arguments)
    block.build((None, *size, 16))
    x = np.random.default_rng(1).standard_normal((5, *size, 16), dtype="float32")

    @tf.function(input_signature=[tf.TensorSpec((None, *seen, 16), block.compute_dtype)])
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = block(x, training=True)
            total = tf.reduce_sum(tf.cast(y, "float32") ** 2)
        variables = [weight.value for weight in block.trainable_weights]
        return y, tape.gradient(total, [x, *variables])

    y, gradients = both(tf.cast(x, block.compute_dtype))
    numbers = [tf.cast(of, "float32").numpy() for of in (y, *gradients)]
    return numbers, both.get_concrete_function().graph


def compiled(graph):
    """The calls in a graph of functions that XLA compiles."""
    return [op for op in graph.get_operations() if op.node_def.attr["_XlaMustCompile"].b]


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("dtype", "rounding"), [("float32", 1e-6), ("mixed_bfloat16", 1e-2)])
def test_a_training_step_is_in_part_compiled_and_the_same(
    native, monkeypatch, dtype, rounding, recompute
):
    numbers, graph = step(dtype, recompute=recompute)
    assert compiled(graph)
    monkeypatch.setattr(native, "compiles_parts", lambda: False)
    expected, plain = step(dtype, recompute=recompute)
    assert not compiled(plain)
    for number, other in zip(numbers, expected, strict=True):
        if np.abs(other).max() > 0:  # that of the first norm's shift is zero
            assert relative_error(number, other) < rounding


def test_maps_of_any_size_are_not_compiled(native):
    numbers, graph = step(seen=(None, None))
    assert not compiled(graph)
    for number, other in zip(numbers, step()[0], strict=True):
        if np.abs(other).max() > 0:
            assert relative_error(number, other) < 1e-6


def test_inference_is_not_compiled_and_takes_every_size(native):
    import tensorflow as tf

    block = MetaFormerBlock()
    block.build((None, 9, 6, 16))
    run = tf.function(lambda x: block(x, training=False), autograph=False)
    assert not compiled(run.get_concrete_function(tf.TensorSpec((None, 9, 6, 16))).graph)


def test_beside_a_gpu_nothing_is_compiled(native, monkeypatch):
    """Keras has the whole step compiled there."""
    import tensorflow as tf

    cpus = tf.config.list_physical_devices()
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda *kind: [*cpus, gpu])
    assert not native.compiles_parts()


def test_without_xla_nothing_is_compiled(native, monkeypatch):
    import tensorflow as tf

    def function(*arguments, **options):
        raise tf.errors.UnimplementedError(None, None, "XLA is not linked in")

    monkeypatch.setattr(native, "in_one_pass", function)
    assert not native.compiles_parts()


@pytest.mark.parametrize("has_bias", [False, True])
def test_a_linear_map(native, has_bias):
    draw = np.random.default_rng(0)
    rows, matrix, bias = (draw.standard_normal(s, dtype="float32") for s in ((50, 24), (24, 8), 8))
    y = native.linear(rows, matrix, bias if has_bias else None).numpy()
    assert relative_error(y, rows @ matrix + (bias if has_bias else 0)) < 1e-6
