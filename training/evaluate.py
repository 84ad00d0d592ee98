"""Measures a model on labelled photographs.

python -m training.evaluate poolformer_s12 FOLDER       # one folder of images a class
python -m training.evaluate runs/images/model.keras FOLDER
python -m training.evaluate poolformer_s12 imagenet_v2  # a name in TensorFlow Datasets
"""

import argparse
import sys
from pathlib import Path

import keras

import keras_poolformer
from keras_poolformer.classifier import Classifier
from keras_poolformer.optional import optional_import
from keras_poolformer.transform import evaluation_transform
from training.class_labels import known_labels
from training.evaluation import evaluate
from training.evaluation_report import report, save, summarize
from training.labelled_images import LabelledImages, read_folder
from training.tfds_images import is_tfds_name, read_tfds


def load(source: str, image_size: tuple[int, int] | None) -> keras.Model:
    """Returns the model that `source` names: a preset, a `.keras` file or a checkpoint."""
    if image_size is None or source.endswith(".keras"):
        return keras_poolformer.load_model(source)
    height, width = image_size
    is_first = keras.config.image_data_format() == "channels_first"
    shape = (3, height, width) if is_first else (height, width, 3)
    return keras_poolformer.load_model(source, input_shape=shape)


def open_data(options: argparse.Namespace, classifier: Classifier) -> LabelledImages:
    """Returns the images that the command line names, and finds their classes.

    Raises:
        ValueError: if they are no folder and no data set, or not for this model.
    """
    labels = known_labels(classifier.classes, options.classes, options.model)
    arguments = (labels, classifier.classes, options.split, options.limit)
    if Path(options.data).exists():
        return read_folder(Path(options.data), *arguments)
    if not is_tfds_name(options.data):
        raise ValueError(
            "`data` must be a folder with one folder of images for each class, or the name of a "
            f"data set in TensorFlow Datasets. Received: {options.data!r}, which does not exist"
        )
    return read_tfds(options.data, *arguments, options.data_dir, options.download)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description="Measure a model on labelled photographs.",
    )
    add = parser.add_argument
    add("model", help="a .keras file, the name of a published model or the file of a checkpoint")
    add(
        "data",
        help="a folder with one folder of images for each class, or with such folders val/ or "
        "test/; or a name in TensorFlow Datasets",
    )
    add("--split", help="part of the data (validation, val/, else test)")
    add("--data-dir", type=Path, help="where TensorFlow Datasets keeps its data")
    add("--download", action="store_true", help="let TensorFlow Datasets fetch what is missing")
    add("--batch-size", type=int, default=32, help="images at once (32)")
    add("--image-size", type=int, nargs="+", metavar="N", help="height and width, one number or 2")
    add("--crop-pct", type=float, help="share of the short side that the cut keeps (the model's)")
    add(
        "--classes",
        type=Path,
        metavar="FILE",
        help="names of the outputs, one a line, or summary.json of the training",
    )
    add("--limit", type=int, help="use this many images, for a quick look")
    add("--output", type=Path, default=Path("runs/evaluate"), help="folder (runs/evaluate)")
    add(
        "--require-top1",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="exit with 1 if the top-1 accuracy is below, such as 0.77",
    )
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Does what the command line says and reports it."""
    for argument in ("batch_size", "limit"):
        value = getattr(options, argument)
        if value is not None and value < 1:
            raise ValueError(f"`{argument}` must be a positive integer. Received: {value}")
    if not 0 <= options.require_top1 <= 1:
        raise ValueError(
            "`require_top1` must be a share in [0, 1], such as 0.77. "
            f"Received: {options.require_top1}"
        )
    optional_import("matplotlib", "to draw the mistakes", "training")  # now, not at the end
    size = options.image_size
    if size is not None and (len(size) > 2 or min(size) < 1):
        raise ValueError(
            f"`image_size` must be a positive integer or two, height and width. Received: {size}"
        )
    size = None if size is None else (size[0], size[-1])
    classifier = Classifier(load(options.model, size))
    transform = evaluation_transform(classifier.model, options.crop_pct, size)
    data = open_data(options, classifier)
    print(
        f"{options.model} ({classifier.model.count_params():,} parameters) on {data.name}. "
        f"Keras {keras.__version__} on {keras.config.backend()}.",
        flush=True,
    )
    options.output.mkdir(parents=True, exist_ok=True)
    result = evaluate(classifier, data, transform, options.batch_size)
    summary = summarize(options.model, classifier, data, transform, options.batch_size, result)
    save(summary, result, data, options.output)
    print(f"\n{report(summary, transform)}")
    files = {"Summary": "evaluation.json", "Classes": "per_class.csv", "Mistakes": "mistakes.png"}
    for title, file in files.items():
        print(f"{title:12} {options.output / file}")
    reached = summary["top1"]["accuracy"]
    if reached < options.require_top1:
        print(
            f"error: the top-1 accuracy is {reached:.2%}, below the required "
            f"{options.require_top1:.2%}",
            file=sys.stderr,
        )
        return 1
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command: 0 when all is well, 1 when the accuracy is not, 2 on bad input."""
    options = parse(arguments)
    try:
        return run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
