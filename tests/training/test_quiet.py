import os
import sys

import pytest

from training.quiet import quiet


def test_drops_what_python_and_native_code_write(capfd):
    print("before")
    with quiet():
        print("python")
        print("python", file=sys.stderr)
        os.write(1, b"native")
        os.write(2, b"native")
    print("after")
    assert tuple(capfd.readouterr()) == ("before\nafter\n", "")


def test_exceptions_pass_and_the_streams_return(capfd):
    with pytest.raises(KeyError), quiet():
        raise KeyError("x")
    print("after")
    assert capfd.readouterr().out == "after\n"
