"""Photographs in folders: one folder a class, named after it."""

from pathlib import Path

import numpy as np

from training.datasets.dataset import TEST_SHARE, Dataset, Split, split_off

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
HELD_OUT = ("val", "validation", "test")
"""Names of the folder beside train/ that holds the images to measure on; the first counts."""

_LAYOUT = "a folder with one folder of images for each class, or with such folders train/ and val/"


def load_folder(folder: Path) -> Dataset:
    """Returns the images of a folder, whose classes are its folders in sorted order.

    With `train/` and `val/` inside, those are the parts; `validation/` or `test/` do
    as well as `val/`. Otherwise a fifth of the images is held out, the same one every
    time. The held-out part serves as validation and as test: no choice is made by it.

    Raises:
        ValueError: if the folder does not hold images of two classes or more.
    """
    if not folder.is_dir():
        raise ValueError(
            f"`data` must be 'digits', {_LAYOUT}, or the name of a data set in TensorFlow "
            f"Datasets. Received: {str(folder)!r}, which is no folder"
        )
    held_out_folder = next((folder / name for name in HELD_OUT if (folder / name).is_dir()), None)
    if (folder / "train").is_dir() and held_out_folder is not None:
        classes = class_folders(folder / "train")
        held_out_classes = class_folders(held_out_folder)
        if classes != held_out_classes:
            raise ValueError(
                f"`data` must have the same classes in train/ and in {held_out_folder.name}/. "
                f"Received: {str(folder)!r}, where only one of them has "
                f"{sorted(set(classes) ^ set(held_out_classes))}"
            )
        train = read_split(folder / "train", classes)
        test = read_split(held_out_folder, classes)
    else:
        classes = class_folders(folder)
        everything = read_split(folder, classes)
        fewest = np.bincount(everything.labels).min()
        if fewest < 2:
            raise ValueError(
                "`data` must have two images or more in every class, one to learn from and one to "
                f"hold out. Received: {str(folder)!r}, where a class has {fewest}"
            )
        train, test = split_off(everything, max(round(len(everything) * TEST_SHARE), len(classes)))
    return Dataset(str(folder), classes, channels=3, train=train, validation=test, test=test)


def class_folders(folder: Path) -> tuple[str, ...]:
    """Returns the names of the class folders in sorted order.

    Raises:
        ValueError: if there are fewer than two.
    """
    names = sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."
    )
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "no folder"
        raise ValueError(
            f"`data` must be {_LAYOUT}; two classes or more. "
            f"Received: {str(folder)!r}, which holds {found}"
        )
    return tuple(names)


def read_split(folder: Path, classes: tuple[str, ...]) -> Split:
    """Lists the images of all classes: every file with the name of one.

    Links to images count, also broken ones: to leave those out is not for a listing,
    which would do it without a word.

    Raises:
        ValueError: if a class has none.
    """
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(
            str(path)
            for path in (folder / name).rglob("*")
            if path.suffix.lower() in SUFFIXES and path.name[0] != "." and not path.is_dir()
        )
        if not found:
            raise ValueError(
                f"`data` must have images ({', '.join(SUFFIXES)}) in every class folder. "
                f"Received: {str(folder / name)!r}, which holds none"
            )
        paths += found
        labels += [label] * len(found)
    # Objects: in an array of strings, every path takes the memory of the longest.
    return Split(np.array(paths, object), np.array(labels, dtype="int64"))
