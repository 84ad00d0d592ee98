"""The model in the browser is given the pixels of the evaluation transform, in all detail.

A model that gives back its pixels takes the place of a classifier, and the worker is asked for
all of its outputs.
"""

import base64
import importlib.resources
import io

import numpy as np
import pytest
from PIL import Image

from keras_poolformer.image_file import read_image
from keras_poolformer.transform import EvaluationTransform
from tests.tflite.web.artificial import echo
from tests.tflite.web.conftest import opened

MODELS = {
    "square": (40, 40, 3, "uint8"),
    "portrait": (56, 24, 3, "float32"),
    "grey": (40, 40, 1, "float32"),
}


@pytest.fixture(scope="module")
def models(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo")
    for name, arguments in MODELS.items():
        (folder / f"{name}.tflite").write_bytes(echo(*arguments))
    return {name: folder / f"{name}.tflite" for name in MODELS}


@pytest.fixture(scope="module")
def worker(browser, models):
    """Sends a photo's bytes to a worker of the page: `worker("square", content)` gives pixels."""
    names = list(models)
    with opened(browser, models.values()) as page:

        def pixels(name, content):
            outputs = page.evaluate(
                """async ([index, content]) => {
                    const workers = (window.workers ??= {});
                    const worker = (workers[index] ??= new Worker("worker.js"));
                    const ask = (task) => new Promise((resolve) => {
                        worker.onmessage = ({data}) => resolve(data);
                        worker.postMessage({id: 0, ...task});
                    });
                    if (!worker.isLoaded) {
                        const source = new URL(`models/${index}.tflite`, location.href).href;
                        await ask({kind: "load", model: {name: "", source}, device: "cpu"});
                        worker.isLoaded = true;
                    }
                    const bytes = Uint8Array.from(atob(content), (it) => it.charCodeAt(0));
                    const reply = await ask({kind: "classify", photo: new Blob([bytes])});
                    if (reply.error) throw new Error(reply.error);
                    return [...reply.value.outputs];
                }""",
                [names.index(name), base64.b64encode(content).decode()],
            )
            height, width, channels, _ = MODELS[name]
            return np.array(outputs).reshape(height, width, channels)

        yield pixels


def expected(name, content):
    height, width, channels, _ = MODELS[name]
    pixels = EvaluationTransform(height, width)(read_image(content))
    if channels == 3:
        return pixels
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def encoded(image, kind="PNG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def photograph(width, height, mode="RGB"):
    """A part of a real photograph, resized, with hard edges for the filter to overshoot at."""
    folder = importlib.resources.files("sklearn.datasets.images")
    image = Image.open(folder / "china.jpg").resize((width, height))
    image.paste((255, 0, 0), (0, 0, max(width // 3, 1), max(height // 4, 1)))
    image.paste((0, 255, 255), (width // 2, 0, width // 2 + 1, height))
    return image.convert(mode)


@pytest.mark.parametrize("name", ["square", "portrait"])
@pytest.mark.parametrize(
    ("width", "height"),
    [
        (40, 40),  # as it is
        (24, 56),
        (640, 427),
        (427, 640),
        (641, 479),  # the cut falls between two pixels
        (401, 403),
        (1999, 61),
        (41, 40),
        (30, 17),  # becomes larger
        (1, 1),
        (3, 200),
    ],
)
def test_every_pixel_is_that_of_the_evaluation_transform(name, width, height, worker):
    content = encoded(photograph(width, height))
    np.testing.assert_array_equal(worker(name, content), expected(name, content))


def test_a_model_of_grey_images(worker):
    content = encoded(photograph(201, 151))
    np.testing.assert_array_equal(worker("grey", content), expected("grey", content))


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_other_kinds_of_pixels(mode, worker):
    content = encoded(photograph(200, 150, mode))
    np.testing.assert_array_equal(worker("square", content), expected("square", content))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_as_the_camera_noted(orientation, worker):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(photograph(90, 60), exif=exif)
    np.testing.assert_array_equal(worker("square", content), expected("square", content))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_dropped(mode, kind, worker):
    image = photograph(80, 60, mode)
    alpha = np.tile(np.linspace(0, 255, 80).astype("uint8"), (60, 1))
    image.putalpha(Image.fromarray(alpha))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    content = encoded(image, kind, **options)
    np.testing.assert_array_equal(worker("square", content), expected("square", content))


@pytest.mark.parametrize(
    "options",
    [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}, {"quality": 60}],
    ids=str,
)
def test_jpegs_are_decoded_as_in_python(options, worker):
    content = encoded(photograph(640, 427), "JPEG", **options)
    difference = np.abs(worker("square", content) - expected("square", content))
    assert difference.max() <= 2, difference.max()
    assert difference.mean() < 0.3, difference.mean()


def test_a_large_photo(worker):
    """12 megapixels, as from a phone: decoded in strips."""
    content = encoded(photograph(4000, 3000), "JPEG")
    difference = np.abs(worker("square", content) - expected("square", content))
    assert difference.max() <= 2
