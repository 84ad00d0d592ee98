"""Fine-tunes a PoolFormer, or another model, on a folder with one folder of images a class.

python examples/finetune.py FOLDER [WEIGHTS [BUILDER]]

WEIGHTS are imagenet, another preset, a file, or none; BUILDER is one such as CAFormerS18. Those of
a RandFormer fit images of 224 x 224 pixels only.
"""

import sys

import keras

import keras_poolformer
from keras_poolformer.variants import MODELS


def main(
    folder: str,
    weights: str = "imagenet",
    builder: str = "PoolFormerS12",
    epochs: int = 30,
    size: int = 224,
) -> None:
    if builder not in MODELS:
        sys.exit(f"error: `builder` must be one of {', '.join(MODELS)}. Received: {builder!r}")
    train, test = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), validation_split=0.2, subset="both", seed=0
    )
    backbone = getattr(keras_poolformer, builder)(
        include_top=False,
        include_preprocessing=True,
        weights=None if weights == "none" else weights,
        input_shape=(size, size, 3),
        pooling="avg",
        drop_path_rate=0.1,
    )
    classifier = keras.layers.Dense(len(train.class_names), activation="softmax")
    model = keras.Sequential([backbone, classifier])
    model.compile(
        keras.optimizers.AdamW(1e-4, weight_decay=0.05),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(train, validation_data=test, epochs=epochs)
    model.save("finetuned.keras")


if __name__ == "__main__":
    main(*sys.argv[1:4])
