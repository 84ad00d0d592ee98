"""What a user does with the page and reads on it, and what Python says to the same photo."""

import numpy as np
import pytest

from keras_poolformer.image_file import read_image
from keras_poolformer.transform import EvaluationTransform
from tflite.interpreter import LiteRTModel

NAMES = ["tench", "French horn", "chain saw", "çà & là", "a" * 60, "b", "c", "d", "e", "f"]


def expected(path, photo, mean=0.0, deviation=1.0):
    """The outputs of LiteRT in Python for a photo."""
    model = LiteRTModel(path)
    _, height, width, _ = model.input.shape
    pixels = EvaluationTransform(height, width)(read_image(str(photo)))[None]
    if model.input.dtype == "float32":
        pixels = ((pixels - mean) / deviation).astype("float32")
    return model(pixels)[0]


def show(page, photo):
    page.set_input_files("#photo-file", photo)


def predictions(page):
    """The labels and probabilities that the page shows, once it does."""
    page.locator("#predictions li").first.wait_for()
    labels = page.locator("#predictions span").all_text_contents()
    values = page.locator("#predictions data").evaluate_all("all => all.map(it => it.value)")
    return labels, [float(value) for value in values]


def error(page):
    page.locator("#error").wait_for()
    return page.locator("#error").text_content()


def facts(page):
    """What the page says of a model, once it is loaded."""
    page.locator("#facts:not(:empty)").wait_for()
    return page.locator("#facts").text_content()


def assert_same(shown, outputs, names):
    labels, values = shown
    best = np.argsort(-outputs)[:5]
    assert labels[0] == names[best[0]]
    assert values == sorted(values, reverse=True)
    for label, value in zip(labels, values, strict=True):
        assert value == pytest.approx(outputs[names.index(label)], abs=1e-3)
