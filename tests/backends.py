"""What differs between the backends when a test looks inside: gradients and compilation."""

import shutil

import keras
import numpy as np
import pytest
from keras import ops

BACKEND = keras.config.backend()


def relative_error(actual, expected):
    """||actual - expected|| / ||expected||, in float64."""
    actual, expected = (np.asarray(array, "float64") for array in (actual, expected))
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def to_numpy(tensor):
    """A float32 array of a tensor of any precision."""
    return np.asarray(ops.convert_to_numpy(ops.cast(tensor, "float32")))


def value_and_gradients(model, loss, inputs):
    """Returns `loss(model(inputs))` and its gradients by the path of each trainable weight."""
    inputs = ops.convert_to_tensor(inputs)
    weights = model.trainable_weights
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss(model(inputs))
        gradients = tape.gradient(value, [weight.value for weight in weights])
    elif BACKEND == "jax":
        import jax

        def objective(trainable):
            return loss(model.stateless_call(trainable, [v.value for v in frozen], inputs)[0])

        frozen = model.non_trainable_variables
        gradients_of = in_one_piece(jax.value_and_grad(objective))
        value, gradients = gradients_of([weight.value for weight in weights])
    else:
        model.zero_grad()
        value = loss(model(inputs))
        value.backward()
        gradients = [weight.value.grad for weight in weights]
    return float(value), {
        weight.path: to_numpy(gradient) for weight, gradient in zip(weights, gradients, strict=True)
    }


def in_one_piece(function):
    """Returns the function; on JAX compiled as a whole, since eager JAX compiles each step."""
    if BACKEND != "jax":
        return function
    import jax

    return jax.jit(function)


def run(function, x):
    """Returns `function(x)` as an array."""
    return to_numpy(in_one_piece(function)(ops.convert_to_tensor(x)))


def run_with_gradient(function, x):
    """Returns y = `function(x)` and d sum(y ** 2) / dx, both from one call."""
    x = ops.convert_to_tensor(x)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            value = tf.reduce_sum(y * y)
        return to_numpy(y), to_numpy(tape.gradient(value, x))
    if BACKEND == "jax":
        import jax

        def objective(t):
            y = function(t)
            return (y * y).sum(), y

        gradient, y = jax.jit(jax.grad(objective, has_aux=True))(x)
        return to_numpy(y), to_numpy(gradient)
    x = x.requires_grad_(True)
    y = function(x)
    (y * y).sum().backward()
    return to_numpy(y), to_numpy(x.grad)


def only_under(backend, reason):
    """A mark for what is the same under every backend, with the reason why it is."""
    return pytest.mark.skipif(backend != BACKEND, reason=reason)


def slow_except_under(*backends):
    """A mark for a test that is slow and much the same under each backend.

    Under JAX more are slow: a model that runs operation by operation is compiled so, too.

    `make test` runs it under these backends, `make test-all` under each. For a test by its
    decorator and for one of its parameters.
    """
    nothing = pytest.mark.skipif(False, reason="it runs")
    return nothing if BACKEND in backends else pytest.mark.slow


def rest_only_under(backend, values, everywhere, reason):
    """Parameters of a test: those of `everywhere` under each backend, the rest under one."""
    mark = only_under(backend, reason)
    return [pytest.param(v, marks=() if v in everywhere else mark) for v in values]


def compiles(test):
    """Marks a test of `jit_compile=True`, which takes minutes on torch: it builds C++ there."""
    if BACKEND != "torch":
        return test
    has_compiler = bool(shutil.which("g++") or shutil.which("clang++"))
    skip = pytest.mark.skipif(not has_compiler, reason="torch.compile needs a C++ compiler")
    return pytest.mark.slow(skip(test))
