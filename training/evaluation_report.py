"""What an evaluation leaves behind: a text, a summary, a table and a picture."""

import csv
import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import keras

import keras_poolformer
from keras_poolformer.classifier import Classifier
from keras_poolformer.files import replacing
from keras_poolformer.transform import EvaluationTransform
from training.evaluation import Evaluation
from training.labelled_images import LabelledImages
from training.mistakes import save_mistakes
from training.scores import TOP, accuracy, per_class

SHOWN = 10
"""How many broken images are named in the terminal; `evaluation.json` has all."""


def summarize(
    model: str,
    classifier: Classifier,
    data: LabelledImages,
    transform: EvaluationTransform,
    batch_size: int,
    result: Evaluation,
) -> dict[str, Any]:
    """Returns the content of `evaluation.json`."""
    backend = keras.config.backend()
    modules = ("keras", "numpy", "PIL", backend)
    scores = {"top1": accuracy(result.answers, 1)}
    if classifier.classes > TOP:
        scores["top5"] = accuracy(result.answers, TOP)
    return {
        "model": model,
        "parameters": classifier.model.count_params(),
        "outputs": classifier.classes,
        "data": data.name,
        "classes": data.classes,
        "images": len(result.answers),
        **scores,
        "images_per_second": round(result.images_per_second, 2),
        "batch_size": batch_size,
        "transform": {**dataclasses.asdict(transform), "filter": "bicubic"},
        "broken": [{"image": name, "trouble": trouble} for name, trouble in result.broken],
        "passed_over": list(data.passed_over),
        "backend": backend,
        "versions": {
            "keras_poolformer": keras_poolformer.__version__,
            **{name: importlib.import_module(name).__version__ for name in modules},
        },
    }


def report(summary: dict[str, Any], transform: EvaluationTransform) -> str:
    """Returns the text for the terminal."""
    lines = [
        f"Images       {summary['images']} of {summary['classes']} classes, "
        f"scored over the model's {summary['outputs']} outputs"
    ]
    for key, name in (("top1", "Top-1"), ("top5", "Top-5")):
        if key in summary:
            low, high = summary[key]["interval"]
            share = summary[key]["accuracy"]
            lines.append(f"{name}        {share:.2%}, 95 % interval {low:.2%} to {high:.2%}")
    lines += [
        f"Transform    {transform}",
        f"Speed        {summary['images_per_second']:.1f} images/s on {summary['backend']}",
    ]
    if summary["broken"]:
        lines.append(f"Left out     {len(summary['broken'])} broken images:")
        lines += [
            f"  {entry['image']!r}: {entry['trouble']}" for entry in summary["broken"][:SHOWN]
        ]
        lines += ["  ..."] * (len(summary["broken"]) > SHOWN)
    if summary["passed_over"]:
        lines.append(f"Passed over  {len(summary['passed_over'])} files that are no images:")
        lines += [f"  {name!r}" for name in summary["passed_over"][:SHOWN]]
        lines += ["  ..."] * (len(summary["passed_over"]) > SHOWN)
    return "\n".join(lines)


def save(
    summary: dict[str, Any],
    result: Evaluation,
    data: LabelledImages,
    output: Path,
) -> None:
    """Writes `evaluation.json`, `per_class.csv` and `mistakes.png`."""
    rows = per_class(result.answers, data.labels, summary["outputs"])
    # A name of bytes that are no text is written with their numbers.
    text: dict[str, Any] = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}
    with replacing(output / "per_class.csv") as path, path.open("w", **text) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    wrong, shown = summary["images"] - summary["top1"]["right"], len(result.mistakes)
    part = f"The {shown} worst of {wrong}" if shown < wrong else f"{wrong}"
    save_mistakes(
        result.mistakes,
        data.labels,
        output / "mistakes.png",
        f"{Path(summary['model']).name} on {'/'.join(Path(data.name).parts[-2:])}",
        f"{part} mistakes in {summary['images']} images",
    )
    with replacing(output / "evaluation.json") as path:
        path.write_text(json.dumps(summary, indent=2) + "\n")
