"""A small training that one process runs, or several at once.

python -m tests.training.distribution.job OUTPUT OPTIONS

OPTIONS are JSON. Each process writes what it saw to OUTPUT/RANK.json and its weights to
OUTPUT/RANK.npz, and the chief the model to OUTPUT/model.keras.
"""

import json
import os
import sys
from pathlib import Path

import keras
import numpy as np

from keras_poolformer import MetaFormer
from training.averaging import AveragedWeights, averages
from training.distribution import connect

EPOCHS, STEPS, BATCH = 4, 5, 8
IMAGES = STEPS * BATCH  # of an epoch
CLASSES = IMAGES  # an image's label says which image it is
HELD_OUT = 21  # three batches, of which three rows are padding
SHAPE = (16, 16, 3)


@keras.saving.register_keras_serializable(package="tests")
class SeenOnce(keras.metrics.Metric):
    """How many classes, that is images, were seen exactly once."""

    def __init__(self, name="seen_once", **kwargs):
        super().__init__(name=name, **kwargs)
        self.seen = self.add_variable((CLASSES,), "zeros", name="seen")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.seen.assign_add(keras.ops.sum(keras.ops.cast(y_true, self.dtype), 0))

    def result(self):
        return keras.ops.sum(keras.ops.cast(keras.ops.equal(self.seen, 1), self.dtype))


def pixels(images, seed):
    generator = np.random.default_rng(seed)
    return generator.uniform(0, 1, (images, *SHAPE)).astype("float32")


def one_hot(labels):
    return np.eye(CLASSES, dtype="float32")[labels]


def held_out():
    """Images, labels and weights: 24 rows, of which the last 3 are padding."""
    x = pixels(HELD_OUT, 1)
    labels = np.random.default_rng(2).integers(0, CLASSES, HELD_OUT)
    padded = np.minimum(np.arange(3 * BATCH), HELD_OUT - 1)
    return x[padded], one_hot(labels[padded]), (np.arange(3 * BATCH) < HELD_OUT).astype("float32")


def batches(arrays, workers):
    """This worker's rows of each global batch."""
    import tensorflow as tf

    rows = BATCH // workers.count
    own = np.arange(len(arrays[0])).reshape(-1, workers.count, rows)[:, workers.rank].ravel()
    arrays = tuple(array[own] for array in arrays)
    return tf.data.Dataset.from_tensor_slices(arrays).batch(rows, drop_remainder=True)


def build(drop_path_rate=0.0, **arguments):
    return MetaFormer(
        depths=(1,),
        dims=(16,),
        stem_patch_size=4,
        stem_stride=4,
        stem_padding=0,
        layer_scale_init_value=1.0,
        drop_path_rate=drop_path_rate,
        input_shape=SHAPE,
        classes=CLASSES,
        classifier_activation=None,
        **arguments,
    )


def make_optimizer(settings, dtype):
    adamw = keras.optimizers.AdamW(1e-2, weight_decay=0.05, **settings)
    return keras.optimizers.LossScaleOptimizer(adamw) if dtype == "mixed_float16" else adamw


def run(workers, *, optimizer=None, drop_path_rate=0.0, dtype=None, frozen=False, die_at=None):
    """Trains for 20 steps and returns what was measured, and the model.

    Args:
        workers: Who does it.
        optimizer: Further settings of AdamW.
        drop_path_rate, dtype: As of `MetaFormer`.
        frozen: Whether all but the classifier stays as it is.
        die_at: Step at which a process that is not the chief dies.
    """
    keras.utils.set_random_seed(0)
    with workers.scope():
        model = build(drop_path_rate, dtype=dtype)
        for layer in model.layers:
            layer.trainable = not frozen or layer.name == "head"
    network = workers.trainable(model)
    with workers.scope():
        network.compile(
            optimizer=make_optimizer(optimizer or {}, dtype),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
            metrics=[SeenOnce()],
            weighted_metrics=[
                keras.metrics.CategoricalAccuracy(name="accuracy"),
                keras.metrics.CategoricalCrossentropy(name="entropy", from_logits=True),
            ],
        )
        network.optimizer.build(network.trainable_variables)
    means, epochs, train_functions = [], [], set()

    def step_ends(step, logs):
        means.append(float(logs["loss"]))
        if len(means) == die_at and not workers.is_chief:
            os._exit(3)

    callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=step_ends)]
    if averages(network.optimizer):
        callbacks.append(AveragedWeights())
    x = pixels(IMAGES, 3)
    for epoch in range(EPOCHS):
        order = np.random.default_rng(epoch).permutation(IMAGES)
        history = network.fit(
            workers.feed(batches((x[order], one_hot(order)), workers)),
            initial_epoch=epoch,
            epochs=epoch + 1,
            steps_per_epoch=STEPS,
            validation_data=workers.feed(batches(held_out(), workers)),
            validation_steps=3,
            shuffle=False,
            callbacks=callbacks,
            verbose=0,
        ).history
        epochs.append({name: float(values[-1]) for name, values in history.items()})
        train_functions.add(id(network.train_function))
    totals = np.arange(1, STEPS + 1) * np.reshape(means, (EPOCHS, STEPS))
    scores = network.evaluate(
        workers.feed(batches(held_out(), workers)), steps=3, return_dict=True, verbose=0
    )
    sums = workers.metric_sums(network)
    workers.set_metric_sums(network, sums)
    measured = {
        "losses": np.diff(totals, prepend=0).ravel().tolist(),  # of each step, not of the epoch
        "epochs": epochs,
        "scores": {name: float(value) for name, value in scores.items()},
        "metric_sums": [np.ravel(values).tolist() for values in sums],
        "metric_sums_put_back": [np.ravel(v).tolist() for v in workers.metric_sums(network)],
        "train_functions": len(train_functions),
    }
    return measured, model


def generators(workers):
    """The state of what each device of this process draws masks from."""
    if keras.config.backend() == "torch":
        import torch

        return [torch.initial_seed()]
    with workers.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5, seed=1)])
    state = model.layers[0].seed_generator.state.value
    if keras.config.backend() == "jax" or workers.replicas == 1:
        return [np.asarray(state).tolist()]
    for _ in range(2):  # the second time must change nothing
        workers.separate_seeds(model)
    return [copy.numpy().tolist() for copy in workers.strategy.experimental_local_results(state)]


def main():
    output = Path(sys.argv[1])
    options = json.loads(sys.argv[2])
    heartbeat = options.pop("heartbeat", None)
    if heartbeat is not None and keras.config.backend() == "jax":
        import training.distribution.jax

        training.distribution.jax.HEARTBEAT_SECONDS = heartbeat
    workers = connect(options.pop("devices", None))
    measured, model = run(workers, **options)
    measured["place"] = [workers.rank, workers.count, workers.replicas, workers.is_chief]
    measured["sum"] = workers.sum([1.0, 1 / 3 + workers.rank])
    measured["any"] = [workers.any(workers.rank == workers.count - 1), workers.any(False)]
    measured["generators"] = generators(workers)
    weights = [np.asarray(keras.ops.convert_to_numpy(weight.value)) for weight in model.weights]
    np.savez(output / f"{workers.rank}.npz", *weights)
    if workers.is_chief:
        with workers.alone():
            model.save(output / "model.keras")
    workers.barrier("the model is written")
    (output / f"{workers.rank}.json").write_text(json.dumps(measured))
    workers.close()


if __name__ == "__main__":
    main()
