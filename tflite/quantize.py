"""Smaller weights and integer arithmetic, by ai-edge-quantizer on a float .tflite file."""

import contextlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Mode:
    """A way to quantise.

    Attributes:
        summary: What it does, in words.
        kind: The weights of its files: `"float32"`, `"float16"` or `"int8"`.
        minimum_sqnr: The least ratio of signal to quantisation noise of the logits that
            a file must have to be delivered, in dB.
        needs_images: Whether the ranges of activations are measured on images.
    """

    summary: str
    kind: str
    minimum_sqnr: float
    needs_images: bool = False


MODES = {
    "float32": Mode("as trained", "float32", 100.0),
    "float16": Mode("weights in half precision, arithmetic in float32", "float16", 50.0),
    "dynamic-int8": Mode("int8 weights; activations quantised as they come", "int8", 20.0),
    "mixed-int8": Mode(
        "int8 convolutions with ranges measured on images; int8 classifier as in dynamic-int8; "
        "the rest float",
        "int8",
        20.0,
        needs_images=True,
    ),
}
"""The modes of `tflite.convert`, by name."""

REFUSED = {
    "full-int8": "delegates have no int8 pooling, GELU and RSQRT, so the graph falls into dozens "
    "of pieces, and the norms lose the most accuracy: slower and worse than mixed-int8",
    "int16x8": "no delegate takes it: about twenty times slower than float32",
    "dynamic-int4": "the outputs are noise to a third, and the graph falls into pieces",
}
"""What is not offered, and why."""


def quantize(model: bytes, mode: str, images: Callable[[], Iterable[np.ndarray]]) -> bytes:
    """Returns a quantised .tflite file.

    Args:
        model: The content of a float32 file with the input `image`.
        mode: A name in `MODES`.
        images: Returns batches of the file's input; called by modes that measure ranges.

    Raises:
        ValueError: if the quantiser cannot do it.
        ImportError: if ai-edge-quantizer is not installed.
    """
    if mode == "float32":
        return model
    from keras_poolformer.optional import optional_import

    optional_import("ai_edge_quantizer", f"for the mode {mode!r}", "tflite")
    from ai_edge_quantizer import qtyping, quantizer

    engine = quantizer.Quantizer(bytearray(model))
    _RECIPES[mode](engine, qtyping)
    # It draws progress bars and reports of its own.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        ranges = _true_ranges(engine, model, images) if MODES[mode].needs_images else None
        result = engine.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def _float16(engine: Any, types: Any) -> None:
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    half = types.TensorQuantizationConfig(num_bits=16, dtype=types.TensorDataType.FLOAT)
    config = types.OpQuantizationConfig(
        weight_tensor_config=half,
        compute_precision=types.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    engine.update_quantization_recipe(
        ".*", types.TFLOperationName.ALL_SUPPORTED, config, AlgorithmName.FLOAT_CASTING
    )


def _dynamic_int8(engine: Any, types: Any) -> None:
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    names = types.TFLOperationName
    engine.add_dynamic_config(".*", names.ALL_SUPPORTED, num_bits=8)
    # The delegate has no depthwise convolution with dynamic ranges: the graph would fall into
    # pieces. LiteRT has no product with an int8 matrix on its left, the mixing of positions.
    for name in (names.DEPTHWISE_CONV_2D, names.BATCH_MATMUL):
        engine.update_quantization_recipe(".*", name, algorithm_key=AlgorithmName.NO_QUANTIZE)


def _mixed_int8(engine: Any, types: Any) -> None:
    names = types.TFLOperationName
    # With the padding before them, or it would be done in float32.
    for name in (names.CONV_2D, names.DEPTHWISE_CONV_2D, names.PAD):
        engine.add_static_config(".*", name, activation_num_bits=8, weight_num_bits=8)
    engine.add_dynamic_config(".*", names.FULLY_CONNECTED, num_bits=8)


_RECIPES: dict[str, Callable[[Any, Any], None]] = {
    "float16": _float16,
    "dynamic-int8": _dynamic_int8,
    "mixed-int8": _mixed_int8,
}


def _true_ranges(
    engine: Any, model: bytes, images: Callable[[], Iterable[np.ndarray]]
) -> dict[str, Any]:
    """Returns the least and the largest value of each tensor over all images.

    The quantiser's own calibration of several images takes a moving average of the
    extremes, which clips: measured image by image and merged, they are true.
    """
    from ai_edge_litert.interpreter import Interpreter

    (signature,) = Interpreter(model_content=model).get_signature_list()
    merged: dict[str, Any] = {}
    for image in images():
        for name, found in engine.calibrate({signature: [{"image": image}]}, num_threads=2).items():
            known = merged.get(name)
            if not known or not found:
                merged[name] = dict(found) if found else known or found
                continue
            known["min"] = np.minimum(known["min"], found["min"])
            known["max"] = np.maximum(known["max"], found["max"])
    return merged
