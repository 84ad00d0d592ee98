"""Fine-tunes a PoolFormer-S12 on a folder with one folder of images for each class.

python examples/finetune.py FOLDER [WEIGHTS]      (WEIGHTS: imagenet, a file, or none)
"""

import sys

import keras

import keras_poolformer


def main(folder: str, weights: str | None = "imagenet", epochs: int = 30, size: int = 224) -> None:
    train, test = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), validation_split=0.2, subset="both", seed=0
    )
    backbone = keras_poolformer.PoolFormerS12(
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
    main(*sys.argv[1:3])
