"""Training that starts from the weights of an earlier one."""

from pathlib import Path

import keras

from keras_poolformer.weights import check_weights, load_weights


def load_pretrained(model: keras.Model, path: Path) -> bool:
    """Copies the weights of a saved model of the same architecture into `model`.

    Args:
        model: The model to fill.
        path: A `.keras` file, whose classifier may have another number of classes
            and is left out then, or a `.weights.h5` file, which must fit as a
            whole.

    Returns:
        Whether the classifier was copied too.

    Raises:
        ValueError: if the file is unreadable or of another architecture.
    """
    checked = check_weights(path, include_top=True, classes=model.output_shape[-1])
    if checked is None or checked.name.endswith(".weights.h5"):
        load_weights(model, path)
        return True
    try:
        source = keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            "`weights` must be a model that Keras saved and that this version can read. "
            f"Received: {str(path)!r}. Keras says: {error}"
        ) from error
    values = {weight.path: weight for weight in source.trainable_variables}
    own = {weight.path: weight for weight in model.trainable_variables}
    classifier = {name for name in own if "head" in name.split("/")}
    other_shape = {
        name
        for name in own
        if name in values and tuple(values[name].shape) != tuple(own[name].shape)
    }
    if values.keys() != own.keys() or not other_shape <= classifier:
        differing = sorted((values.keys() ^ own.keys()) | (other_shape - classifier))
        raise ValueError(
            "`weights` must be a model of the recipe's architecture. "
            f"Received: {str(path)!r}, which differs in {len(differing)} weights, the first of "
            f"them {differing[0]!r}"
        )
    kept = own.keys() - (classifier if other_shape else set())
    for name in kept:
        own[name].assign(values[name])
    return not other_shape
