"""A headless Chromium on the built page, with models that the page's server offers."""

import importlib.resources
import os
import shutil
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.backends import BACKEND
from tests.tflite.web.steps import NAMES
from tflite.convert import convert
from tflite.web.server import make_server

ROOT = Path(__file__).parents[3]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# What npm says when it does not reach its registry.
NO_NETWORK = ("ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN", "ENETUNREACH")


@pytest.fixture(scope="session")
def built():
    """Builds the page unless it is built; skips where that cannot be done."""
    if BACKEND != "tensorflow":
        pytest.skip("the page knows nothing of Keras and its backends: tested under one of them")
    for program in ("node", "npm", "make"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, which builds the page")
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    done = subprocess.run(
        ["make", "tflite/web/build/index.html"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode and any(word in done.stderr for word in NO_NETWORK):
        pytest.skip("the page is not built yet, and npm's registry cannot be reached")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def launch(built):
    """Starts a browser: `launch(*flags)`."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = [os.environ.get("CHROMIUM", ""), *BROWSERS]
    executable = next((path for name in names if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip("no Chromium is installed; set CHROMIUM to one")
    with sync_api.sync_playwright() as playwright:
        browsers = []

        def start(*flags):
            # Machines without a GPU draw WebGL with SwiftShader, which Chromium wants allowed.
            arguments = ["--enable-unsafe-swiftshader", *flags]
            browser = playwright.chromium.launch(executable_path=executable, args=arguments)
            browsers.append(browser)
            return browser

        yield start
        for browser in browsers:
            browser.close()


@pytest.fixture(scope="session")
def browser(launch):
    """A browser with a camera that shows a test picture, and without a GPU."""
    return launch("--use-fake-device-for-media-stream")


@contextmanager
def served(*models):
    """Serves the page with models at the address that it yields."""
    server = make_server(models, port=0)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@contextmanager
def opened(browser, models, **options):
    """Opens the page with models; it may ask its own server only, and must not break."""
    with served(*models) as url:
        context = browser.new_context(**options)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.requested, page.said, page.broken = [], [], []
        context.on("request", lambda request: page.requested.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.broken.append(str(error)))
        page.goto(url)
        yield page
        context.close()
    assert [it for it in page.requested if not it.startswith((url, f"blob:{url}"))] == []
    assert page.broken == []
    assert not [said for said in page.said if "Content Security Policy" in said]


@pytest.fixture
def open_page(browser):
    """Opens the page: `open_page(*models, **options of a browser's context)`."""
    with ExitStack() as stack:
        yield lambda *models, **options: stack.enter_context(opened(browser, models, **options))


@pytest.fixture(scope="session")
def photo():
    """The path of a real photograph, 640 x 427 pixels."""
    return importlib.resources.files("sklearn.datasets.images") / "china.jpg"


@pytest.fixture(scope="session")
def flower():
    return importlib.resources.files("sklearn.datasets.images") / "flower.jpg"


@pytest.fixture(scope="session")
def models(built, make_model, tmp_path_factory):
    """Paths of converted models: by input and weights, and one that gives logits."""
    folder = tmp_path_factory.mktemp("models")
    model = make_model((32, 32, 3), classes=10)
    other = make_model(
        (24, 40, 3), seed=1, include_preprocessing=False, classifier_activation=None, classes=4
    )
    arguments = {
        "uint8": (model, {"input": "uint8", "labels": NAMES}),
        "float32": (model, {"input": "float32", "labels": NAMES}),
        "int8": (model, {"input": "uint8", "quantize": "dynamic-int8", "labels": NAMES}),
        "logits": (other, {"input": "float32"}),
    }
    for name, (source, options) in arguments.items():
        convert(source, folder / f"{name}.tflite", **options)
    return {name: folder / f"{name}.tflite" for name in arguments}
