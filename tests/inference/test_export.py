"""ONNX and OpenVINO files compute what the model computes, and only such files are delivered."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import keras_poolformer
from keras_poolformer import MetaFormer
from keras_poolformer.inference import export, fuse
from keras_poolformer.inference.__main__ import main
from keras_poolformer.inference.runtimes import import_openvino
from keras_poolformer.variants import VARIANTS
from tests.backends import BACKEND, relative_error, slow_except_under
from tests.inference.test_fuse import CONFIGURATIONS, TWO, inputs, randomized, small

in_torch = pytest.mark.skipif(BACKEND != "torch", reason="only PyTorch's exporter writes the files")
FIXED = {"input_shape": (16, 24, 3), "classifier_activation": "softmax"}


class OnnxFile:
    """An ONNX file in ONNX Runtime, as a user would run it."""

    def __init__(self, path):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def __call__(self, images):
        (output,) = self.session.run(None, {"image": images})
        return output

    @property
    def signature(self):
        tensors = (*self.session.get_inputs(), *self.session.get_outputs())
        return [f"{tensor.name} {tensor.type} {tensor.shape}" for tensor in tensors]


class OpenVINOFile:
    """The same in OpenVINO, which reads ONNX files too."""

    def __init__(self, path):
        core = import_openvino().Core()
        self.model = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def __call__(self, images):
        return self.model(images)[0]

    @property
    def signature(self):
        tensors = (*self.model.inputs, *self.model.outputs)
        return [f"{tensor.any_name} {tensor.partial_shape}" for tensor in tensors]


def both(path):
    return OnnxFile(path), OpenVINOFile(path)


def predicted(model, images):
    return model.predict(images, verbose=0)


def written(path):
    return sorted(item.name for item in path.iterdir())


# === What a file computes ===


@in_torch
def test_onnx_file(tmp_path):
    import onnx

    model = small(**TWO, **FIXED)
    path = tmp_path / "model.onnx"
    report = export(model, path)
    file, in_openvino = both(path)
    assert file.signature == [
        "image tensor(float) ['batch', 16, 24, 3]", "probabilities tensor(float) ['batch', 5]",
    ]  # fmt: skip
    assert in_openvino.signature == ["image [?,16,24,3]", "probabilities [?,5]"]
    for batch in (1, 3):
        images = np.random.default_rng(0).standard_normal((batch, 16, 24, 3)).astype("float32")
        for run in (file, in_openvino):
            assert relative_error(run(images), predicted(model, images)) < 1e-6

    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 20)]
    assert graph.producer_name == "keras_poolformer"
    assert graph.graph.input[0].doc_string == "(batch, height, width, channels), normalised images"
    assert os.fsencode(Path(__file__).parents[2]) not in path.read_bytes()
    assert report.file == path
    assert report.bytes == path.stat().st_size
    assert report.input == "image float32 (batch, 16, 24, 3)"
    assert report.pixels == "normalised"
    assert report.output == "probabilities float32 (batch, 5)"
    assert report.difference < 1e-6
    assert report.images == 4
    assert report.runtime.startswith("onnxruntime 1.")
    # Stem and downsample, two convolutions for an MLP; one transposition at the border and
    # one before the head, as in a network that is written in channels_first.
    assert report.operations["Conv"] == 6
    assert report.operations["AveragePool"] == 2
    assert report.operations["Gelu"] == 2
    assert report.operations["Transpose"] <= 3
    assert written(tmp_path) == ["model.onnx"]


@in_torch
def test_openvino_file(tmp_path):
    model = small(**TWO, **FIXED, include_preprocessing=True)
    path = tmp_path / "model.xml"
    report = export(model, path, output="logits")
    assert written(tmp_path) == ["model.bin", "model.xml"]
    file = OpenVINOFile(path)
    assert file.signature == ["image [?,16,24,3]", "logits [?,5]"]
    logits = keras.Model(model.input, model.get_layer("head").output)
    for batch in (1, 3):
        images = natural(batch)
        assert relative_error(file(images), predicted(logits, images)) < 1e-6
    assert report.bytes == sum(item.stat().st_size for item in tmp_path.iterdir())
    assert report.pixels == "0 to 255"
    assert report.output == "logits float32 (batch, 5)"
    assert report.runtime.startswith("openvino 20")
    assert report.operations["Convolution"] == 6
    assert path.with_suffix(".bin").stat().st_size >= 4 * fuse(model).count_params()


def natural(batch, size=(16, 24)):
    return np.random.default_rng(0).integers(0, 256, (batch, *size, 3)).astype("float32")


SLOW = [pytest.param(variant, marks=pytest.mark.slow) for variant in VARIANTS]


@in_torch
@pytest.mark.parametrize("variant", SLOW)
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_the_papers_models(variant, suffix, tmp_path):
    build = getattr(keras_poolformer, f"PoolFormer{variant}")
    model = randomized(build(input_shape=(64, 96, 3), classifier_activation=None))
    report = export(model, tmp_path / f"model{suffix}")
    assert report.difference < 1e-5
    images = np.random.default_rng(0).standard_normal((3, 64, 96, 3)).astype("float32")
    expected = predicted(model, images)
    for run in both(report.file) if suffix == ".onnx" else [OpenVINOFile(report.file)]:
        assert relative_error(run(images), expected) < 1e-5


FAST = ("padding that counts", "channels_first, no top")


@in_torch
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=() if c in FAST else pytest.mark.slow) for c in CONFIGURATIONS],
)
def test_every_configuration_at_any_size(case, tmp_path):
    model = small(**CONFIGURATIONS[case])
    stride = 2 ** max(int(level[1:]) for level in model.pyramid_outputs)
    export(model, tmp_path / "model.onnx")
    files = both(tmp_path / "model.onnx")
    sizes = [(45, 61), (stride, 3 * stride + 1)]
    if None not in model.input_shape[1:]:
        sizes = [model.input_shape[1:3]]
    for size in sizes:
        images = inputs(model, size)
        expected = predicted(model, images)
        for file in files:
            assert relative_error(file(images), expected) < 2e-6


@in_torch
def test_fixed_sizes_and_integer_pixels(tmp_path):
    image = keras.Input((None, None, 3), dtype="uint8", name="photo")
    model = randomized(
        MetaFormer([1], [8], input_tensor=image, include_preprocessing=True, classes=3)
    )
    export(model, tmp_path / "model.onnx", batch=2, image_size=(16, 24))
    files = both(tmp_path / "model.onnx")
    assert files[0].signature[0] == "image tensor(uint8) [2, 16, 24, 3]"
    images = natural(2).astype("uint8")
    for file in files:
        assert relative_error(file(images), predicted(model, images)) < 1e-6


@in_torch
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_classifier_of_ones_own_in_half_precision(data_format, tmp_path):
    """The file computes in float32, which is what a float32 twin of the model gives."""
    twins = []
    for policy in ("mixed_bfloat16", "float32"):
        keras.config.set_dtype_policy(policy)
        backbone = MetaFormer(
            [1], [8], include_top=False, pooling="avg", data_format=data_format,
            input_shape=(16, 24, 3) if data_format == "channels_last" else (3, 16, 24),
        )  # fmt: skip
        head = keras.layers.Dense(4, activation="softmax", name="classes")
        first = [keras.layers.Rescaling(1 / 60, offset=-2)]
        twins.append(
            keras.Sequential([keras.Input(backbone.input_shape[1:]), *first, backbone, head])
        )
    half, full = twins
    randomized(full)
    half.set_weights(full.get_weights())
    before = half.get_weights()
    report = export(half, tmp_path / "model.onnx")
    assert report.pixels == "0 to 255"
    assert report.output == "probabilities float32 (batch, 4)"
    images = natural(3)
    if data_format == "channels_first":
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    for file in both(report.file):
        assert relative_error(file(images), predicted(full, images)) < 1e-6
    for ours, theirs in zip(half.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@in_torch
def test_probabilities_of_logits_from_a_saved_model(tmp_path):
    model = small(input_shape=(16, 24, 3))
    model.save(tmp_path / "model.keras")
    export(tmp_path / "model.keras", tmp_path / "model.onnx", output="probabilities")
    file = OnnxFile(tmp_path / "model.onnx")
    assert file.signature[1].startswith("probabilities")
    images = np.random.default_rng(0).standard_normal((1, 16, 24, 3)).astype("float32")
    logits = predicted(model, images)
    expected = np.exp(logits) / np.exp(logits).sum()
    assert relative_error(file(images), expected) < 1e-6


# === What is not delivered ===


@keras.saving.register_keras_serializable(package="keras_poolformer_tests")
class Counter(keras.layers.Layer):
    """Computes something else at each call, which no file can."""

    calls = 0

    def call(self, inputs):
        type(self).calls += 1
        return self.calls * inputs


@in_torch
def test_a_file_that_differs_leaves_the_old_one(tmp_path):
    model = small(**{**FIXED, "token_mixer": Counter, "norm": None})
    for name in ("model.onnx", "model.xml", "model.bin"):
        (tmp_path / name).write_bytes(b"old")
    for suffix in (".onnx", ".xml"):
        with pytest.raises(ValueError, match=r"failed its check and is not.*differ from Keras's"):
            export(model, tmp_path / f"model{suffix}")
    assert written(tmp_path) == ["model.bin", "model.onnx", "model.xml"]
    assert all(path.read_bytes() == b"old" for path in tmp_path.iterdir())


@keras.saving.register_keras_serializable(package="keras_poolformer_tests")
class Inverse(keras.layers.Layer):
    """ONNX has no such operation."""

    def call(self, x):
        return ops.erfinv(0.1 * x)


@in_torch
def test_a_model_beyond_onnx_is_named(tmp_path):
    model = small(**{**FIXED, "token_mixer": Inverse})
    with pytest.raises(ValueError, match=r"(?s)`model` cannot be converted by PyTorch.*erf_inv"):
        export(model, tmp_path / "model.onnx")
    assert written(tmp_path) == []


BAD = {
    "suffix": ({"target": "model.tflite"}, r"`target` must.*\.onnx.*\.xml.*model\.tflite"),
    "folder": ({"target": "nowhere/model.onnx"}, "`target`.*folder that exists.*nowhere"),
    "taken": ({"target": "taken.onnx"}, "`target` must be the path of a file.*taken"),
    "weights taken": ({"target": "weights.xml"}, "`target` must be the path of a file.*weights"),
    "output": ({"output": "classes"}, "`output` must be one of .*'classes'"),
    "batch": ({"batch": 0}, "`batch` must be a positive.*Received: 0"),
    "size": ({"image_size": (32, 32)}, "`image_size` must be left out.*(16, 24, 3)"),
    "sides": ({"image_size": (32, 32, 3)}, "`image_size` must be a positive integer or two"),
    "no file": ({"model": "nowhere.keras"}, "file that does not exist.*nowhere"),
}  # fmt: skip


@in_torch
@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named(case, tmp_path):
    arguments, message = BAD[case]
    for folder in ("taken.onnx", "weights.bin"):
        (tmp_path / folder).mkdir()
    given = {"target": "model.onnx", "model": small(**FIXED), **arguments}
    with pytest.raises(ValueError, match=message):
        export(given.pop("model"), tmp_path / given.pop("target"), **given)
    assert written(tmp_path) == ["taken.onnx", "weights.bin"]


def quantized():
    model = small(**FIXED)
    model.quantize("int8")
    return model


def quantized_head():
    backbone = small(include_top=False, pooling="avg", input_shape=(16, 24, 3))
    model = keras.Sequential([backbone, keras.layers.Dense(3)])
    model(np.zeros((1, 16, 24, 3)))
    model.layers[1].quantize("int8")
    return model


def two_outputs():
    model = small(**TWO, input_shape=(16, 24, 3))
    return keras.Model(model.input, [model.output, model(model.input)])


MODELS = {
    "no MetaFormer": (
        lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]), {},
        "`model` must be a `keras_poolformer.MetaFormer`, or hold one",
    ),
    "fused": (lambda: fuse(small(**FIXED)), {}, "`model`.*fused on the way.*fused already"),
    "quantised": (quantized, {}, "`model` must have its own weights, not quantised.*'int8'"),
    "quantised head": (quantized_head, {}, "`model` must have its own weights.*'int8'"),
    "never called": (
        lambda: keras.Sequential([small(**FIXED)]), {},
        "`model` must take one batch of images.*input_shape=None",
    ),
    "a layer behind": (
        lambda: keras.Sequential([keras.Input((16, 24, 3)), small(**FIXED)]), {"output": "logits"},
        "`output` must be left out or 'probabilities'",
    ),
    "features": (
        lambda: small(include_top=False), {"output": "logits"},
        "`output` must be left out or 'features'",
    ),
    "two outputs": (two_outputs, {}, "`model` must give one tensor"),
    "fixed batch": (
        lambda: MetaFormer([1], [8], input_tensor=keras.Input((16, 16, 3), batch_size=2)),
        {"batch": 3}, "`batch` must be 2 or left out",
    ),
    "smaller than a patch": (
        lambda: small(**TWO), {"image_size": (16, 7)},
        "`image_size` must be at least 8 x 8 pixels.*Received: \\(16, 7\\)",
    ),
}  # fmt: skip


@in_torch
@pytest.mark.parametrize("case", MODELS)
def test_models_that_do_not_fit_are_named(case, tmp_path):
    make, arguments, message = MODELS[case]
    with pytest.raises(ValueError, match=message):
        export(make(), tmp_path / "model.onnx", **arguments)
    assert written(tmp_path) == []


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch is the backend that is asked for")
def test_other_backends_are_told_what_to_do(tmp_path):
    message = "set KERAS_BACKEND=torch.*python -m keras_poolformer.inference"
    with pytest.raises(RuntimeError, match=f"{message}.*Keras on '{BACKEND}'"):
        export(small(**FIXED), tmp_path / "model.onnx")
    assert written(tmp_path) == []


# === The command ===


@slow_except_under("torch")
def test_command_line_under_every_backend(tmp_path):
    model = small(**TWO)
    model.save(tmp_path / "model.keras")
    command = [
        *(sys.executable, "-m", "keras_poolformer.inference", "model.keras", "-o", "model.xml"),
        *("--batch", "2", "--image-size", "16", "24", "--gives", "probabilities"),
    ]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Model            model.keras"
    assert lines[1].startswith("File             model.xml (0.")
    assert lines[2] == "Input            image float32 (2, 16, 24, 3), normalised"
    assert lines[3] == "Output           probabilities float32 (2, 5)"
    assert "1e-04 allowed" in lines[5]
    assert written(tmp_path) == ["model.bin", "model.keras", "model.xml"]
    images = np.random.default_rng(0).standard_normal((2, 16, 24, 3)).astype("float32")
    logits = predicted(model, images)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert relative_error(OpenVINOFile(tmp_path / "model.xml")(images), expected) < 1e-6


@in_torch
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", "some"], "error: `batch` must be a number or 'any'. Received: 'some'"),
        (["--batch", "-1"], "error: `batch` must be a positive number"),
        (["--gives", "classes"], "error: `output` must be one of"),
        ([], "error: `source` must be a file that Keras saved"),
    ],
)
def test_bad_input_to_the_command(arguments, message, tmp_path, capsys):
    (tmp_path / "broken.keras").write_bytes(b"no model")
    command = [str(tmp_path / "broken.keras"), "-o", str(tmp_path / "model.onnx"), *arguments]
    assert main(command) == 2
    assert capsys.readouterr().err.startswith(message)
    assert written(tmp_path) == ["broken.keras"]
