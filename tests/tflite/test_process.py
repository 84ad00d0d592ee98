import pytest

from tests.tflite.conftest import in_tensorflow
from tflite.process import run_module

pytestmark = in_tensorflow

MODULE = """
import os
import sys

from tflite.process import serve


def work(task):
    if task == "crash":
        os.abort()
    if task == "bad":
        raise ValueError("`task` must be good. Received: 'bad'")
    return {"task": task, "variable": os.environ.get("COLOUR"), "keras": "keras" in sys.modules}


serve(work)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "worker.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "worker"


def test_value_and_environment(module, monkeypatch):
    monkeypatch.setenv("COLOUR", "red")
    assert run_module(module, [1]) == {"task": [1], "variable": "red", "keras": False}
    assert run_module(module, "a", {"COLOUR": "blue"})["variable"] == "blue"


def test_errors_come_back_in_their_words(module):
    with pytest.raises(ValueError, match="^`task` must be good. Received: 'bad'$"):
        run_module(module, "bad")


def test_a_process_that_ends_otherwise(module):
    with pytest.raises(ChildProcessError, match="worker ended with -6 and no result"):
        run_module(module, "crash")
