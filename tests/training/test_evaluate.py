"""`python -m training.evaluate` as users run it, against scores counted by hand."""

import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_poolformer import MetaFormer
from training.evaluate import main

SIZE = 32


def run(*arguments):
    return main([str(argument) for argument in arguments])


def make(path, **arguments):
    """Saves a small model with a decided classifier, and returns it."""
    keras.utils.set_random_seed(3)
    given = {"input_shape": (SIZE, SIZE, 3), "classes": 3, "layer_scale_init_value": 1.0}
    model = MetaFormer(depths=[1, 1], dims=[8, 16], **{**given, **arguments})
    head = model.get_layer("head")
    head.kernel.assign(keras.ops.convert_to_numpy(head.kernel) * 50)
    model.save(path)
    return model


def results(output):
    with (output / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    return json.loads((output / "evaluation.json").read_text()), rows


def colours(folder, classes, images=4):
    """Photographs of noise around one colour, all larger than the model takes."""
    generator = np.random.default_rng(1)
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for image in range(images):
            pixels = generator.integers(0, 90, (40 + image, 50, 3))
            pixels[..., index % 3] += 120
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{image}.png")


def expected_outputs(model, files):
    """What the model says, with pixels and normalisation worked out here."""
    images = []
    for file in files:
        with Image.open(file) as image:
            width, height = image.size
            scale = SIZE / min(width, height)
            size = (int(width * scale + 1e-9), int(height * scale + 1e-9))
            image = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        left, top = round((size[0] - SIZE) / 2), round((size[1] - SIZE) / 2)
        images.append(np.asarray(image)[top : top + SIZE, left : left + SIZE])
    images = (np.stack(images) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return model.predict(images.astype("float32"), verbose=0)


def test_imagenet_model_on_ten_of_its_classes(imagenette, tmp_path, capsys):
    ids = [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]
    model = make(tmp_path / "model.keras", classes=1000)
    head = model.get_layer("head")
    bias = np.zeros(1000, "float32")
    bias[[*ids, 7, 999]] = 8  # so that a model of random weights is right at times
    head.bias.assign(bias)
    model.save(tmp_path / "model.keras")
    output = tmp_path / "runs" / "result"
    arguments = ("--limit", 205, "--batch-size", 16, "--output", output)
    assert run(tmp_path / "model.keras", imagenette, *arguments) == 0

    files, labels = [], []
    for place, (label, folder) in enumerate(
        zip(ids, sorted((imagenette / "val").iterdir()), strict=True)
    ):
        chosen = sorted(folder.iterdir())[: 21 if place < 5 else 20]
        files += chosen
        labels += [label] * len(chosen)
    labels = np.array(labels)
    order = np.argsort(-expected_outputs(model, files), axis=1)
    first, fifth = order[:, 0] == labels, (order[:, :5] == labels[:, None]).any(1)
    assert 0 < first.sum() < fifth.sum() < 205
    assert len(np.unique(order[:, 0])) > 3

    summary, rows = results(output)
    assert summary["images"] == 205
    assert summary["outputs"] == 1000
    assert summary["top1"]["right"] == first.sum()
    assert summary["top5"]["right"] == fifth.sum()
    assert summary["transform"] == {
        "height": SIZE,
        "width": SIZE,
        "crop_pct": 1.0,
        "filter": "bicubic",
    }
    assert summary["backend"] == keras.config.backend()
    assert [row["class"] for row in rows][:2] == ["tench", "English springer"]
    assert [row["wordnet_id"] for row in rows][9] == "n03888257"
    for row, label in zip(rows, ids, strict=True):
        assert float(row["top1"]) == pytest.approx(first[labels == label].mean(), abs=1e-5)
        assert float(row["top5"]) == pytest.approx(fifth[labels == label].mean(), abs=1e-5)
    printed = capsys.readouterr().out
    assert f"Top-1        {first.mean():.2%}, 95 % interval" in printed
    assert "205/205" in printed
    with Image.open(output / "mistakes.png") as picture:
        assert picture.width > 1000
    assert sorted(path.name for path in output.iterdir()) == [
        "evaluation.json",
        "mistakes.png",
        "per_class.csv",
    ]


def test_every_kind_of_model_scores_the_same(tmp_path):
    colours(tmp_path / "data", ["blue", "green", "red"])
    files = sorted((tmp_path / "data").glob("*/*.png"))
    expected = expected_outputs(make(tmp_path / "softmax.keras"), files).argmax(1)
    right = int((expected == np.repeat([0, 1, 2], 4)).sum())
    make(tmp_path / "logits.keras", classifier_activation=None)
    make(tmp_path / "pixels.keras", include_preprocessing=True)
    first = {"input_shape": (3, SIZE, SIZE), "data_format": "channels_first"}
    make(tmp_path / "first.keras", **first)
    make(tmp_path / "open.keras", input_shape=(None, None, 3))
    for kind in ("softmax", "logits", "pixels", "first", "open"):
        extra = ("--image-size", SIZE) if kind == "open" else ()
        output = tmp_path / kind
        arguments = ("--batch-size", 5, "--output", output, *extra)
        assert run(tmp_path / f"{kind}.keras", tmp_path / "data", *arguments) == 0
        summary, rows = results(output)
        assert summary["top1"]["right"] == right, kind
        assert "top5" not in summary
        assert [row["class"] for row in rows] == ["blue", "green", "red"]
        wrong = [int(row["wrong_answers"]) for row in rows]
        assert (sum(wrong) > 0) == (right < 12)


def test_what_is_broken_is_named_and_left_out(tmp_path, capsys):
    data = tmp_path / "data"
    colours(data, ["a", "b", "c"])
    make(tmp_path / "model.keras")
    (data / "a" / "0.png").write_bytes(b"no image")
    cut = (data / "b" / "1.png").read_bytes()[:500]
    (data / "b" / "1.png").write_bytes(cut)
    (data / "b" / "notes.txt").touch()
    arguments = (tmp_path / "model.keras", data, "--output", tmp_path / "out")
    assert run(*arguments) == 0
    summary, rows = results(tmp_path / "out")
    assert summary["images"] == 10
    assert [row["images"] for row in rows] == ["3", "3", "4"]
    broken = [entry["image"] for entry in summary["broken"]]
    assert broken == [str(data / "a" / "0.png"), str(data / "b" / "1.png")]
    assert summary["passed_over"] == [str(data / "b" / "notes.txt")]
    printed = capsys.readouterr().out
    assert "Left out     2 broken images:" in printed
    assert "Passed over  1 files that are no images:" in printed
    assert all(name in printed for name in broken)

    for path in data.glob("[bc]/*.png"):
        path.write_bytes(b"no image")
    assert run(*arguments) == 2
    assert "Received: 12 images, 9 of them broken. The first is" in capsys.readouterr().err


def test_names_beside_the_model_and_from_a_file(tmp_path, capsys):
    colours(tmp_path / "data", ["b", "c"])
    model = make(tmp_path / "model.keras")
    answers = expected_outputs(model, sorted((tmp_path / "data").glob("*/*.png"))).argmax(1)
    arguments = (tmp_path / "model.keras", tmp_path / "data", "--output", tmp_path / "out")
    assert run(*arguments) == 2
    assert "must have the 3 classes of the model" in capsys.readouterr().err
    (tmp_path / "summary.json").write_text(json.dumps({"class_names": ["a", "b", "c"]}))
    assert run(*arguments) == 0
    summary, rows = results(tmp_path / "out")
    assert summary["top1"]["right"] == np.sum(answers == np.repeat([1, 2], 4))
    assert [row["class"] for row in rows] == ["b", "c"]
    # With the names turned round, other answers are right.
    (tmp_path / "names.txt").write_text("c\nb\na\n")
    assert run(*arguments, "--classes", tmp_path / "names.txt") == 0
    summary, rows = results(tmp_path / "out")
    assert summary["top1"]["right"] == np.sum(answers == np.repeat([1, 0], 4))
    assert [row["class"] for row in rows] == ["c", "b"]


def test_no_mistakes_and_required_accuracy(tmp_path, capsys):
    colours(tmp_path / "data", ["a", "b", "c"], images=2)
    model = make(tmp_path / "model.keras")
    model.get_layer("head").bias.assign([1e4, 0, 0])
    model.save(tmp_path / "model.keras")
    arguments = [tmp_path / "model.keras", tmp_path / "data", "--output", tmp_path / "out"]
    assert run(*arguments, "--require-top1", 0.33) == 0
    assert run(*arguments, "--require-top1", 0.34) == 1
    assert "33.33%, below the required 34.00%" in capsys.readouterr().err
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    for name in "bc":
        for path in (tmp_path / "data" / name).iterdir():
            path.unlink()
        (tmp_path / "data" / name).rmdir()
    assert run(*arguments, "--classes", tmp_path / "names.txt", "--require-top1", 1) == 0
    assert Image.open(tmp_path / "out" / "mistakes.png").width > 500


def test_bad_input(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colours(tmp_path / "data", ["a", "b", "c"], images=1)
    make(tmp_path / "model.keras")
    make(tmp_path / "grey.keras", input_shape=(SIZE, SIZE, 1))
    make(tmp_path / "many.keras", classes=1000)
    for arguments, message in [
        (["gone.keras", "data"], "gone.keras"),
        (["poolformer_s13", "data"], "poolformer_s13"),
        (["data", "data"], "data"),
        (["grey.keras", "data"], "3 channels"),
        (["many.keras", "data"], "unknown 'a', 'b', 'c'"),
        (["model.keras", "./gone"], "Received: './gone', which does not exist"),
        (["model.keras", "gone"], "Received: 'gone', which is no folder"),
        (["model.keras", "model.keras"], "'model.keras', which is a file"),
        (["model.keras", "data", "--limit", 0], "`limit` must be a positive integer"),
        (["model.keras", "data", "--batch-size", 0], "`batch_size` must be a positive"),
        (["model.keras", "data", "--image-size", 1, 2, 3], "`image_size` must be"),
        (["model.keras", "data", "--image-size", 64], "`image_size` must be that of the model"),
        (["model.keras", "data", "--crop-pct", 0], "`crop_pct` must be"),
        (["model.keras", "data", "--require-top1", 77], "`require_top1` must be a share"),
        (["model.keras", "data", "--classes", "gone.txt"], "`classes` must be"),
    ]:
        assert run(*arguments, "--output", "out") == 2, arguments
        error = capsys.readouterr().err
        assert error.startswith("error: "), arguments
        assert message in error, arguments
    assert not (tmp_path / "out").exists()
