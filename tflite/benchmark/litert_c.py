"""LiteRT's profiler, through the C interface of the library inside ai-edge-litert.

LiteRT's Python classes run files but do not offer the profiler, which alone sees inside the
delegate: to the interpreter it is one node. The functions and structures are those of
`litert/c/*.h` in LiteRT 2.3. A wrong one would end the process, so this belongs into a
process of its own.
"""

import ctypes
import sys
from contextlib import ExitStack
from ctypes import (
    Structure,
    byref,
    c_bool,
    c_char_p,
    c_int,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_CPU = 1  # kLiteRtHwAcceleratorCpu
_WRITE = 1  # kLiteRtTensorBufferLockModeWrite
_SIGNATURE = 0  # the first one

# tflite::Profiler::EventType: an operator of a CPU kernel, and one inside a delegate.
_KERNEL, _DELEGATED = 1 << 1, 1 << 3
# The whole of a run is an event of this type and name.
_DEFAULT, _INVOKE = 1, "Invoke"


@dataclass(frozen=True)
class Operation:
    """One operation in one run.

    Attributes:
        name: What the kernel or the delegate calls it.
        microseconds: Its time, in whole microseconds.
        is_delegated: Whether the delegate ran it.
    """

    name: str
    microseconds: int
    is_delegated: bool


@dataclass(frozen=True)
class Run:
    """One run under the profiler.

    Attributes:
        microseconds: Its time.
        operations: Its operations, in the order in which they ran.
    """

    microseconds: int
    operations: list[Operation]


class _Layout(Structure):
    _fields_ = [("rank", c_uint32), ("sizes", ctypes.c_int32 * 8), ("strides", c_uint32 * 8)]


class _TensorType(Structure):
    _fields_ = [("element", c_int), ("layout", _Layout)]


class _Event(Structure):
    _fields_ = [
        ("tag", c_char_p),
        ("type", c_int),
        ("start", c_uint64),
        ("elapsed", c_uint64),
        ("memory", c_uint64 * 6),
        ("metadata", c_uint64 * 2),
        ("source", c_int),
    ]


class ProfiledModel:
    """A .tflite file in LiteRT's CompiledModel on the CPU, with its profiler.

    Args:
        path: The file.
        threads: Threads of the delegate.
        image: What it is run on.

    Raises:
        OSError: if LiteRT's library is not where its Python package is.
        ValueError: if LiteRT refuses something.
    """

    def __init__(self, path: Path, threads: int, image: np.ndarray) -> None:
        self._library = ctypes.CDLL(str(_library()))
        self._stack = ExitStack()
        self._payloads: list[Any] = []
        self._environment = self._new("Environment", "Environment", c_int(0), None)
        model = self._new("Model", "ModelFromFile", self._environment, str(path).encode())
        options = self._new("Options", "Options")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, c_int(_CPU))
        self._set(options, b"runtime_options_string", b"enable_profiling = true\n")
        self._set(options, b"xnnpack", b"num_threads = %d\n" % threads)
        parts = self._environment, model, options
        self._model = self._new("CompiledModel", "CompiledModel", *parts)
        self._signature = c_void_p()
        self._call("LiteRtGetModelSignature", model, _SIGNATURE, byref(self._signature))
        if self._types("Input")[0].layout.sizes[0] < 0:
            sizes = (c_int * image.ndim)(*image.shape)
            self._on_model("LiteRtCompiledModelResizeInputTensor", 0, sizes, image.ndim)
        self._inputs, self._outputs = self._buffers("Input"), self._buffers("Output")
        self._fill(self._inputs[0], image)
        self._profiler = c_void_p()
        self._call("LiteRtCompiledModelGetProfiler", self._model, byref(self._profiler))

    def __enter__(self) -> "ProfiledModel":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def run(self) -> None:
        """Runs the file once."""
        buffers = len(self._inputs), self._inputs, len(self._outputs), self._outputs
        self._on_model("LiteRtRunCompiledModel", *buffers)

    def profile(self) -> Run:
        """Runs the file once under the profiler.

        Raises:
            ValueError: if the profiler's answer is not understood.
        """
        self._call("LiteRtResetProfiler", self._profiler)
        self._call("LiteRtStartProfiler", self._profiler)
        self.run()
        self._call("LiteRtStopProfiler", self._profiler)
        count = c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, byref(count))
        events = (_Event * max(count.value, 1))()
        self._call("LiteRtGetProfilerEvents", self._profiler, count, events)
        return _run(events[: count.value])

    def _buffers(self, kind: str) -> Any:
        """Returns an array of buffers for the inputs or the outputs, in their present sizes."""
        types = self._types(kind)
        if kind == "Input":
            layout = byref(types[0].layout)
            self._on_model("LiteRtGetCompiledModelInputTensorLayout", 0, layout)
        else:
            layouts = (_Layout * len(types))()
            name = "LiteRtGetCompiledModelOutputTensorLayouts"
            self._on_model(name, len(types), layouts, c_bool(True))
            for tensor, found in zip(types, layouts, strict=True):
                tensor.layout = found
        buffers = (c_void_p * len(types))()
        for place, tensor in enumerate(types):
            needs = c_void_p()
            self._on_model(f"LiteRtGetCompiledModel{kind}BufferRequirements", place, byref(needs))
            kinds = "TensorBuffer", "ManagedTensorBufferFromRequirements"
            buffers[place] = self._new(*kinds, self._environment, byref(tensor), needs).value
        return buffers

    def _types(self, kind: str) -> list[_TensorType]:
        """Returns the types of the inputs or the outputs, as the file declares them."""
        count = c_size_t()
        self._call(f"LiteRtGetNumSignature{kind}s", self._signature, byref(count))
        types = [_TensorType() for _ in range(count.value)]
        for place, declared in enumerate(types):
            tensor = c_void_p()
            name = f"LiteRtGetSignature{kind}TensorByIndex"
            self._call(name, self._signature, place, byref(tensor))
            self._call("LiteRtGetRankedTensorType", tensor, byref(declared))
        return types

    def _fill(self, buffer: int, image: np.ndarray) -> None:
        handle, size, address = c_void_p(buffer), c_size_t(), c_void_p()
        self._call("LiteRtGetTensorBufferPackedSize", handle, byref(size))
        if size.value != image.nbytes:
            raise ValueError(f"The input has {size.value} bytes, not {image.nbytes}")
        self._call("LiteRtLockTensorBuffer", handle, byref(address), c_int(_WRITE))
        ctypes.memmove(address, np.ascontiguousarray(image).ctypes.data, image.nbytes)
        self._call("LiteRtUnlockTensorBuffer", handle)

    def _set(self, options: c_void_p, name: bytes, text: bytes) -> None:
        """Adds a group of options, which LiteRT reads as lines of TOML."""
        payload = ctypes.create_string_buffer(text)
        free = ctypes.CFUNCTYPE(None, c_void_p)(lambda address: None)  # Python owns the text
        self._payloads += [payload, free]
        group = c_void_p()
        self._call("LiteRtCreateOpaqueOptions", name, payload, free, byref(group))
        self._call("LiteRtAddOpaqueOptions", options, group)

    def _new(self, kind: str, way: str, *arguments: Any) -> c_void_p:
        """Returns a new object of LiteRT's, made in one of several ways. It ends with this one."""
        made = c_void_p()
        self._call(f"LiteRtCreate{way}", *arguments, byref(made))
        destroy = getattr(self._library, f"LiteRtDestroy{kind}")
        destroy.restype = None
        self._stack.callback(destroy, made)
        return made

    def _on_model(self, name: str, *arguments: Any) -> None:
        """Calls a function of the compiled model and its signature."""
        self._call(name, self._model, _SIGNATURE, *arguments)

    def _call(self, name: str, *arguments: Any) -> None:
        """Calls a function. Plain numbers are sizes and places, 64 bits wide."""
        try:
            function = getattr(self._library, name)
        except AttributeError as error:
            raise ValueError(f"LiteRT's library has no {name}") from error
        function.restype = c_int
        status = function(*(c_size_t(x) if isinstance(x, int) else x for x in arguments))
        if status:
            raise ValueError(f"{name} failed with the status {status}")


def _library() -> Path:
    import ai_edge_litert

    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    return Path(ai_edge_litert.__file__).with_name(f"libLiteRt{suffix}")


def _run(events: list[_Event]) -> Run:
    whole = [event for event in events if (event.type, _name(event)) == (_DEFAULT, _INVOKE)]
    operations = [
        Operation(_name(event), event.elapsed, event.type == _DELEGATED)
        for event in events
        if event.type in (_KERNEL, _DELEGATED)
    ]
    if len(whole) != 1 or not operations:
        raise ValueError(
            f"The profiler gave {len(whole)} runs of {len(operations)} operations, not one of some"
        )
    return Run(whole[0].elapsed, operations)


def _name(event: _Event) -> str:
    return (event.tag or b"").decode(errors="replace")
