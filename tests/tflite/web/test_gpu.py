"""The gate of the GPU: its delegate takes the whole of a converted model, and agrees.

WebGPU draws with SwiftShader here, a GPU in software. It knows the same operations as others.
"""

import pytest

from tests.tflite.web.artificial import converted_function
from tests.tflite.web.conftest import opened
from tests.tflite.web.steps import NAMES, assert_same, expected, facts, predictions, show

FLAGS = (
    "--enable-unsafe-webgpu",
    "--enable-features=Vulkan",
    "--use-webgpu-adapter=swiftshader",
)
REFUSAL = "not supported by GPU delegate"


@pytest.fixture(scope="module")
def gpu_browser(launch):
    browser = launch(*FLAGS)
    with opened(browser, []) as page:
        adapter = page.evaluate(
            "navigator.gpu?.requestAdapter().then(it => it && it.info.architecture) ?? null"
        )
    if adapter is None:
        pytest.skip(f"Chromium {browser.version} has no WebGPU on SwiftShader here")
    return browser


def on_gpu(page):
    page.locator("#gpu:empty").wait_for(state="attached")
    page.get_by_role("radio", name="GPU").check()


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_the_delegate_takes_the_whole_model_and_agrees(name, models, photo, gpu_browser):
    path = models[name]
    with opened(gpu_browser, [path]) as page:
        on_gpu(page)
        show(page, photo)
        assert_same(predictions(page), expected(path, photo), NAMES)
        assert "on the GPU (" in page.locator("#timing").inner_text()
        assert "on the CPU" not in page.locator("#timing").inner_text()
        assert [said for said in page.said if REFUSAL in said] == []
        assert any("WebGPU" in said for said in page.said)  # the delegate did say something


def test_the_gate_finds_what_a_gpu_refuses(photo, gpu_browser, tmp_path):
    """A tensor of rank 5, as a group normalisation of another kind has."""

    def rank_5(tf, image):
        groups = tf.reshape(image, (1, 16, 16, 1, 3))
        centred = groups - tf.reduce_mean(groups, (1, 2, 4), keepdims=True)
        return tf.reduce_mean(tf.reshape(centred, (1, 16, 16, 3)), (1, 2))

    path = tmp_path / "model.tflite"
    path.write_bytes(converted_function(rank_5, (1, 16, 16, 3), "float32"))
    with opened(gpu_browser, [path]) as page:
        on_gpu(page)
        facts(page)
        show(page, photo)
        assert len(predictions(page)[0]) == 3
        assert [said for said in page.said if REFUSAL in said]
        assert "and in parts on the CPU" in page.locator("#timing").inner_text()
