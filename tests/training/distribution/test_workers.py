"""The parts that need no second process."""

import keras
import numpy as np
import pytest

from tests.training.distribution.job import build
from training.distribution.launch import Launch
from training.distribution.seeds import derived_seed, seed_of_device
from training.distribution.workers import Workers


class SecondOfTwo(Workers):
    """The second process of two, of which the first gives other numbers."""

    def __init__(self, difference):
        super().__init__(rank=1, count=2)
        self.difference = difference

    def gather(self, values):
        return np.array([np.asarray(values) + self.difference, values], "float64")


def small_model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def dataset(rows, drop_remainder=True):
    import tensorflow as tf

    x = np.zeros((12, 2), "float32")
    return tf.data.Dataset.from_tensor_slices((x, x)).batch(rows, drop_remainder)


def test_one_process_is_the_chief_of_itself():
    workers = Workers()
    assert (workers.rank, workers.count, workers.replicas, workers.is_chief) == (0, 1, 1, True)
    assert workers.sum([1.5, 2]) == [1.5, 2.0]
    assert workers.any(True)
    assert not workers.any(False)
    model, batches = small_model(), dataset(5, drop_remainder=False)
    with workers.scope():
        assert workers.trainable(model) is model
    assert workers.feed(batches) is batches
    workers.barrier("nobody comes")
    workers.close()


def test_equal_weights_are_accepted():
    SecondOfTwo(0).check_equal(small_model())


def test_other_weights_than_the_first_process_has_are_refused():
    with pytest.raises(ValueError, match=r"must have equal weights .* others than .* in \[1\]"):
        SecondOfTwo(1).check_equal(small_model())


def test_a_batch_that_the_devices_cannot_share_is_refused():
    workers = Workers(count=2, local_devices=4)
    assert workers.rows_of_device(dataset(12)) == 3
    with pytest.raises(ValueError, match="must be a multiple of the 8 devices. Received: 12"):
        workers.feed(dataset(6))


def test_batches_of_several_sizes_are_refused():
    with pytest.raises(ValueError, match="batches of one size for 2 devices; pass drop_remainder"):
        Workers(count=2).feed(dataset(5, drop_remainder=False))


def test_metric_sums_can_be_put_back():
    workers, model = Workers(), small_model()
    model.compile(loss="mse", metrics=["mae"])
    x = np.ones((4, 2), "float32")
    before = model.evaluate(x, x[:, :1], verbose=0, return_dict=True)
    sums = workers.metric_sums(model)
    model.reset_metrics()
    workers.set_metric_sums(model, sums)
    after = {name: float(value) for name, value in model.get_metrics_result().items()}
    assert after == pytest.approx(before)


def test_the_seed_of_a_step_depends_on_all_parts():
    seeds = {derived_seed(s, step, rank) for s in (0, 7) for step in range(50) for rank in range(8)}
    assert len(seeds) == 800
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derived_seed(7, 3, 1) == derived_seed(7, 3, 1)


def test_the_first_device_keeps_its_generator():
    assert seed_of_device([5, 11], 0).tolist() == [5, 11]
    states = [seed_of_device([5, 11], device).tolist() for device in range(8)]
    assert len({seed for seed, _ in states}) == 8
    assert {count for _, count in states} == {11}


@pytest.fixture
def mirrored():
    """TensorFlow's workers, with one device."""
    if keras.config.backend() != "tensorflow":
        pytest.skip("tf.distribute")
    import tensorflow as tf

    from training.distribution.tensorflow import TensorFlowWorkers

    return TensorFlowWorkers(tf.distribute.MirroredStrategy(["CPU:0"]), Launch(), 1)


def test_on_tensorflow_the_model_to_train_is_made_outside_of_the_scope(mirrored):
    with mirrored.scope():
        model = small_model()
        with pytest.raises(ValueError, match="outside of `scope"):
            mirrored.trainable(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weighted_metrics": ["accuracy"]}, "must be objects .* Received: 'accuracy'"),
        ({"jit_compile": True}, "`jit_compile` must not be true on several devices"),
        ({"steps_per_execution": 4}, "`steps_per_execution` must be 1 .* Received: 4"),
        (
            {"optimizer": keras.optimizers.SGD(gradient_accumulation_steps=2)},
            "`gradient_accumulation_steps` must be None .* Received: 2",
        ),
    ],
)
def test_what_keras_cannot_under_tf_distribute_is_refused(options, message, mirrored):
    with mirrored.scope():
        model = small_model()
    with pytest.raises(ValueError, match=message):
        mirrored.trainable(model).compile(loss="mse", **options)


def test_a_model_for_tensorflows_devices_keeps_its_policy(mirrored):
    """Keras decides by it whether the loss is scaled."""
    with mirrored.scope():
        model = build(dtype="mixed_float16")
    network = mirrored.trainable(model)
    with mirrored.scope():
        network.compile(optimizer=keras.optimizers.AdamW(), loss="mse")
    assert network.dtype_policy.name == "mixed_float16"
    assert isinstance(network.optimizer, keras.optimizers.LossScaleOptimizer)
