"""The page in a browser: it names what a photo shows as Python does, and says what is wrong."""

import base64
import io
import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_poolformer.image_input import IMAGENET_MEAN, IMAGENET_STD
from tests.tflite.web.artificial import (
    FLOAT16,
    FLOAT32,
    IMAGE,
    INT8,
    INT32,
    SCORES,
    UINT8,
    tflite_file,
)
from tests.tflite.web.conftest import opened
from tests.tflite.web.steps import NAMES, assert_same, error, expected, facts, predictions, show


@pytest.fixture(scope="module")
def one_page(browser, models):
    """One page for many errors in a row, each of which it must survive."""
    with opened(browser, [models["uint8"]]) as page:
        yield page


@pytest.fixture(scope="module")
def result_page(browser, models, photo):
    """One page that shows a result, for tests that only look at it."""
    with opened(browser, [models["uint8"]]) as page:
        show(page, photo)
        predictions(page)
        yield page


@pytest.fixture
def file(tmp_path):
    """Writes a file and returns its path."""

    def write(name, content):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def test_what_it_says_at_first(models, open_page):
    page = open_page(models["uint8"], models["logits"])
    assert facts(page) == "The middle of a photo as 32 x 32 RGB pixels (uint8), 10 classes"
    assert page.locator("#models").inner_text().split("\n") == ["uint8.tflite", "logits.tflite"]
    page.locator("#status", has_text="Choose a photo.").wait_for()
    assert page.locator("#error").is_hidden()
    assert page.evaluate("crossOriginIsolated")


@pytest.mark.parametrize("name", ["uint8", "float32", "int8"])
def test_a_photo_is_named_as_in_python(name, models, photo, open_page):
    page = open_page(models[name])
    show(page, photo)
    assert_same(predictions(page), expected(models[name], photo), NAMES)


def test_logits_of_a_model_that_is_not_square_and_has_no_names(models, photo, open_page):
    page = open_page(models["logits"])
    assert facts(page).endswith("40 x 24 RGB pixels (float32), 4 classes, without names")
    show(page, photo)
    mean, deviation = 255 * np.mean(IMAGENET_MEAN), 255 * np.mean(IMAGENET_STD)
    outputs = expected(models["logits"], photo, mean, deviation)
    probabilities = np.exp(outputs) / np.exp(outputs).sum()
    names = [f"class {index}" for index in range(4)]
    assert_same(predictions(page), probabilities, names)


def test_another_model_and_another_photo(models, photo, flower, open_page):
    page = open_page(models["logits"], models["uint8"])
    show(page, photo)
    assert len(predictions(page)[0]) == 4
    page.select_option("#models", label="uint8.tflite")
    assert_same(predictions(page), expected(models["uint8"], photo), NAMES)
    show(page, flower)
    assert_same(predictions(page), expected(models["uint8"], flower), NAMES)


def test_the_last_of_many_choices_counts(models, photo, flower, open_page):
    page = open_page(models["logits"], models["uint8"], models["float32"])
    for name in ("uint8", "float32", "logits", "uint8"):
        show(page, photo)
        page.select_option("#models", label=f"{name}.tflite")
        show(page, flower)
    page.locator("#predictions li").nth(4).wait_for()
    assert_same(predictions(page), expected(models["uint8"], flower), NAMES)
    assert page.locator("#error").is_hidden()


def test_milliseconds_and_where_it_ran(result_page):
    threads = result_page.evaluate("navigator.hardwareConcurrency")
    words = result_page.locator("#timing").inner_text()
    found = re.match(r"([\d.]+) ms on the CPU with (\d+) threads?; the median of 5 runs", words)
    assert 0 < float(found[1]) < 5000
    assert int(found[2]) == threads


def test_one_thread_where_the_page_is_not_isolated(models, photo, open_page):
    """Servers that do not send the headers for threads can have the page, too."""
    page = open_page(models["uint8"])
    lost = ("cross-origin-opener-policy", "cross-origin-embedder-policy")

    def without_isolation(route):
        response = route.fetch()
        kept = {key: value for key, value in response.headers.items() if key not in lost}
        route.fulfill(response=response, headers=kept)

    page.context.route("**/*", without_isolation)
    page.reload()
    show(page, photo)
    assert_same(predictions(page), expected(models["uint8"], photo), NAMES)
    assert not page.evaluate("crossOriginIsolated")
    assert "CPU with 1 thread;" in page.locator("#timing").inner_text()


def test_all_requests_are_seen_and_go_to_the_server(result_page):
    # Those of workers are among them; `opened` looks at their addresses.
    for part in ("page.js", "worker.js", "models/0.tflite", "litert_wasm_threaded_internal.wasm"):
        assert any(url.endswith(part) for url in result_page.requested), part


def test_without_models_it_asks_for_one(models, photo, open_page):
    page = open_page()
    page.locator("#status", has_text="Open a .tflite file to begin.").wait_for()
    assert page.locator("#models").is_disabled()
    show(page, photo)
    page.set_input_files("#model-file", models["uint8"])
    assert_same(predictions(page), expected(models["uint8"], photo), NAMES)
    assert page.locator("#models").inner_text() == "uint8.tflite"


def drop(page, path, event="drop"):
    """Drops or pastes a file on the page."""
    page.evaluate(
        """([event, name, content]) => {
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            data.items.add(new File([bytes], name));
            const options = {bubbles: true, dataTransfer: data, clipboardData: data};
            const Event = event === "paste" ? ClipboardEvent : DragEvent;
            document.querySelector("main").dispatchEvent(new Event(event, options));
        }""",
        [event, path.name, base64.b64encode(path.read_bytes()).decode()],
    )


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_files_that_are_dropped_or_pasted(event, models, photo, open_page):
    page = open_page()
    drop(page, models["uint8"], event)
    drop(page, photo, event)
    assert_same(predictions(page), expected(models["uint8"], photo), NAMES)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        b"\xff\xd8\xff\xe0" + bytes(100),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
    ids=["empty", "text", "broken JPEG", "SVG"],
)
def test_a_broken_image(content, models, photo, file, one_page):
    show(one_page, file("photo.jpg", content))
    assert error(one_page).startswith("photo.jpg: This browser cannot read it as a photo.")
    assert one_page.locator("#predictions li").count() == 0
    assert one_page.locator("#preview").is_hidden()
    show(one_page, photo)  # the page goes on
    assert_same(predictions(one_page), expected(models["uint8"], photo), NAMES)
    assert one_page.locator("#error").is_hidden()


def truncated(models):
    content = models["uint8"].read_bytes()
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "It is not a .tflite model."),
        (b"no model" * 100, "It is not a .tflite model."),
        (b"\x00\x01\x00\x00TFL3" + bytes(20), "damaged"),
        (truncated, "damaged|LiteRT cannot"),
        (tflite_file([(FLOAT32, (-1, 16, 16, 3))]), r"Convert it with --batch 1\."),
        (tflite_file([(FLOAT32, (4, 16, 16, 3))]), "one RGB or grey image.*takes 4 x 16 x 16 x 3"),
        (tflite_file([(FLOAT32, (1, 16, -1, 3))]), "takes 1 x 16 x any x 3"),
        (tflite_file([(FLOAT32, (1, 3, 16, 16))]), "takes 1 x 3 x 16 x 16"),
        (tflite_file([(INT32, (1, 128))]), "takes 1 x 128"),
        (tflite_file([(INT8, (1, 16, 16, 3))]), "float32 or uint8 images. It takes int8"),
        (tflite_file([IMAGE, IMAGE]), "It has 2 inputs and 1 outputs"),
        (tflite_file(outputs=[SCORES, SCORES]), "It has 1 inputs and 2 outputs"),
        (tflite_file(outputs=[(FLOAT32, (1, 4, 4, 16))]), "classifier.*gives 1 x 4 x 4 x 16"),
        (tflite_file(outputs=[(UINT8, (1, 10))]), "float32 scores. It gives uint8"),
        (tflite_file(outputs=[(FLOAT16, (1, 10))]), "It gives float16"),
    ],
)  # fmt: skip
def test_a_model_that_is_none_or_another_kind(content, message, models, file, one_page):
    content = content(models) if callable(content) else content
    one_page.set_input_files("#model-file", file("other.tflite", content))
    one_page.locator("#error", has_text=re.compile(f"^other.tflite: .*({message})")).wait_for()
    assert one_page.locator("#facts").inner_text() == ""


def test_the_page_goes_on_after_a_model_that_is_none(models, photo, file, one_page):
    one_page.set_input_files("#model-file", file("other.tflite", b"no model"))
    error(one_page)
    one_page.select_option("#models", label="uint8.tflite")
    show(one_page, photo)
    assert_same(predictions(one_page), expected(models["uint8"], photo), NAMES)
    assert one_page.locator("#error").is_hidden()


def test_a_model_that_the_server_lost(models, file, open_page):
    path = file("lost.tflite", models["uint8"].read_bytes())
    page = open_page(models["uint8"], path)
    facts(page)
    path.unlink()
    page.select_option("#models", label="lost.tflite")
    assert error(page) == "lost.tflite: It cannot be read: the server answers 404."


def test_names_that_do_not_fit_are_not_shown(make_model, models, photo, file, open_page):
    content = models["uint8"].read_bytes()
    archive = content.index(b"PK\x03\x04")
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as labels:
        labels.writestr("labels.txt", "one\ntwo\n")
    page = open_page(file("names.tflite", content[:archive] + other.getvalue()))
    assert facts(page).endswith("2 names, which do not fit and are not shown")
    show(page, photo)
    assert all(re.fullmatch(r"class \d", label) for label in predictions(page)[0])


def test_by_keyboard(models, photo, open_page):
    page = open_page(models["uint8"])
    # The browser hands dialogs over from here on, and not only a moment after the key.
    page.on("filechooser", lambda chooser: None)
    facts(page)
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
        # Where the control itself is not seen, its label shows the focus.
        assert page.evaluate(
            """() => {
                const focused = document.activeElement;
                const seen = focused.matches(".hidden") ? focused.nextElementSibling : focused;
                return getComputedStyle(seen).outlineStyle;
            }"""
        ) == "solid", reached  # fmt: skip
    assert reached == ["models", "model-file", "device", "photo-file", "camera"]
    page.keyboard.press("Shift+Tab")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(photo)
    assert len(predictions(page)[0]) == 5


def test_what_screen_readers_are_told(result_page):
    for role, name in (
        ("combobox", "Model"),
        ("radio", "CPU"),
        ("button", "Open a .tflite file"),
        ("button", "Choose a photo"),
        ("button", "Use camera"),
        ("img", "The photo china.jpg"),
        ("region", "Result"),
    ):
        assert result_page.get_by_role(role, name=name, exact=True).count() == 1, name
    assert result_page.locator("#result").get_attribute("aria-live") == "polite"
    assert result_page.locator("#error").get_attribute("role") == "alert"


def test_on_a_phone(models, photo, open_page):
    page = open_page(models["uint8"], viewport={"width": 375, "height": 667})
    show(page, photo)
    predictions(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    for control in page.locator("button:visible, .button:visible, select").all():
        assert control.bounding_box()["height"] >= 44


def test_the_gpu_is_not_offered_where_there_is_none(result_page):
    result_page.locator("#gpu", has_text="Not on the GPU: the browser finds no GPU").wait_for()
    assert result_page.get_by_role("radio", name="GPU").is_disabled()


def test_a_photo_from_the_camera(models, open_page):
    page = open_page(models["uint8"], permissions=["camera"])
    facts(page)
    page.get_by_role("button", name="Use camera").click()
    page.locator("#video").wait_for()
    page.get_by_role("button", name="Close camera").click()
    assert page.evaluate("document.getElementById('video').srcObject") is None
    page.keyboard.press("Enter")  # the focus is back where it was
    page.locator("#video").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#viewfinder").is_hidden()
    page.keyboard.press("Enter")
    page.locator("#video").wait_for()
    page.keyboard.press("Enter")  # the focus is on "Take photo"
    assert len(predictions(page)[0]) == 5
    assert page.get_by_role("img", name="The photo from the camera").is_visible()
    assert page.evaluate("document.getElementById('video').srcObject") is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NotAllowedError", "The camera may not be used"),
        ("NotFoundError", "No camera was found"),
        ("NotReadableError", "another program may be using it"),
        ("AbortError", "The camera does not start: the reason"),
    ],
)
def test_without_a_camera(name, message, one_page):
    one_page.evaluate(
        """name => navigator.mediaDevices.getUserMedia =
            async () => { throw new DOMException("the reason", name); }""",
        name,
    )
    one_page.get_by_role("button", name="Use camera").click()
    one_page.locator("#error", has_text=message).wait_for()
    assert one_page.locator("#viewfinder").is_hidden()


def test_the_served_list_is_json(result_page):
    served = result_page.evaluate("fetch('models.json').then(it => it.text())")
    assert json.loads(served) == [{"name": "uint8.tflite", "url": "models/0.tflite"}]


def test_the_photo_is_shown_upright(models, file, open_page):
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (80, 40), "red").save(content, "JPEG", exif=exif)
    page = open_page(models["uint8"])
    show(page, file("turned.jpg", content.getvalue()))
    predictions(page)
    assert page.locator("#preview").evaluate("it => [it.naturalWidth, it.naturalHeight]") == [
        40,
        80,
    ]
