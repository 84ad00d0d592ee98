import copy

import pytest

from tests.tflite.conftest import in_tensorflow
from tflite.benchmark.notes import notes

pytestmark = in_tensorflow

ENTRY = {"name": "a.tflite", "shape": [1, 8, 8, 3], "open_batch": False, "partitions": 1}
FINE = {
    "machine": {"cores": 2, "load": 0.1},
    "settings": {"threads": [1, 2]},
    "files": [ENTRY, {**ENTRY, "name": "b.tflite"}],
}

CHANGES = [
    (("settings", "threads", [4]), "4 threads on 2 cores wait for each other"),
    (("machine", "load", 1.7), "the machine was busy before: a load of 1.7"),
    (("files", 1, {**ENTRY, "shape": [1, 9, 9, 3]}), "inputs of [1, 8, 8, 3] and [1, 9, 9, 3]"),
    (("files", 1, {**ENTRY, "open_batch": True}), "a.tflite leaves its batch open"),
    (("files", 1, {**ENTRY, "partitions": 3}), "a.tflite runs in 3 pieces"),
]


def test_nothing_to_note():
    assert notes(FINE) == []


def test_a_system_that_does_not_tell_its_load():
    assert notes({**FINE, "machine": {"cores": 2, "load": None}}) == []


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_notes(change, expected):
    group, place, value = change
    report = copy.deepcopy(FINE)
    report[group][place] = value
    (found,) = notes(report)
    assert expected in found
