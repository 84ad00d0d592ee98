"""Silence for native libraries that write to the terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout


@contextmanager
def quiet() -> Iterator[None]:
    """Drops what is written to standard output and standard error meanwhile.

    TensorFlow and LiteRT log from C++, past `sys.stderr`, so the file descriptors
    themselves are turned away. Exceptions pass.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    with open(os.devnull, "w") as nowhere:
        try:
            for descriptor in (1, 2):
                os.dup2(nowhere.fileno(), descriptor)
            # In a notebook, Python's own streams are elsewhere.
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                yield
        finally:
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
