"""Images with their classes, one after the other: folders of class folders."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from training.class_labels import Labels, match
from training.datasets.folder import SUFFIXES as SUFFIXES


@dataclass(frozen=True)
class LabelledImage:
    """An image that is not read yet.

    Attributes:
        name: What to call it.
        source: Its file, or the content of one.
        label: Its class, an index into the model's outputs.
    """

    name: str
    source: Path | bytes
    label: int


@dataclass(frozen=True)
class LabelledImages:
    """Images to measure a model on.

    Attributes:
        name: Where they come from, for reports.
        labels: WordNet id and name of every output of the model.
        classes: How many classes the data has.
        images: The images.
        count: How many they are.
        passed_over: Files among them that are no images by their names.
    """

    name: str
    labels: Labels
    classes: int
    images: Iterable[LabelledImage]
    count: int
    passed_over: tuple[str, ...] = ()


def read_folder(
    folder: Path,
    labels: Labels | None,
    outputs: int,
    split: str | None = None,
    limit: int | None = None,
) -> LabelledImages:
    """Lists the images of a folder with one folder a class.

    Args:
        folder: Holds the class folders, or `val/` or `test/` that do; `val/` is
            preferred.
        labels: Labels of the model, or `None` if the folders name its outputs in
            sorted order.
        outputs: Number of outputs of the model.
        split: Name of the folder inside that holds the class folders, instead of
            `val/` and `test/`.
        limit: Take this many images at most, as evenly from all classes as can be.

    Raises:
        ValueError: if it is no such folder, a class is none of the model or has no
            image.
    """
    root = _root(folder, split)
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in entries if entry.is_dir()]
    passed_over = [str(entry) for entry in entries if not entry.is_dir()]
    if not folders:
        raise ValueError(
            "`data` must be a folder with one folder of images for each class, or with such "
            f"folders in val/ or test/. Received: {str(root)!r}, which holds "
            + (f"{len(passed_over)} files and no folder" if passed_over else "nothing")
        )
    labels, indices = match([entry.name for entry in folders], labels, outputs)
    by_class: list[list[LabelledImage]] = []
    for entry, index in zip(folders, indices, strict=True):
        files = sorted(
            path for path in entry.rglob("*") if path.is_file() and not path.name.startswith(".")
        )
        images = [path for path in files if path.suffix.lower() in SUFFIXES]
        passed_over += [str(path) for path in files if path.suffix.lower() not in SUFFIXES]
        if not images:
            raise ValueError(
                f"`data` must have images ({', '.join(SUFFIXES)}) in every class folder. "
                f"Received: {str(entry)!r}, which holds none"
            )
        by_class.append([LabelledImage(str(path), path, index) for path in images])
    kept = sorted(
        ((place, image) for images in by_class for place, image in enumerate(images)),
        key=lambda pair: pair[0],  # the sort is stable: the first of every class, the second, ...
    )[:limit]
    chosen = sorted((image for _, image in kept), key=lambda image: image.name)
    return LabelledImages(str(root), labels, len(folders), chosen, len(chosen), tuple(passed_over))


def _root(folder: Path, split: str | None) -> Path:
    """The folder of the class folders."""
    if not folder.is_dir():
        raise ValueError(
            "`data` must be a folder with one folder of images for each class. "
            f"Received: {str(folder)!r}, which is a file"
        )
    if split is not None:
        if not (folder / split).is_dir():
            raise ValueError(
                f"`split` must name a folder in the data. Received: {split!r}, but there is no "
                f"{str(folder / split)!r}"
            )
        return folder / split
    for part in ("val", "test"):
        if (folder / part).is_dir():
            return folder / part
    return folder
