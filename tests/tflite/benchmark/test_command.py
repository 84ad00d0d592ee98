"""The command, on files so small that their times mean nothing."""

import json
import os
import re

import pytest

from tests.tflite import graphs
from tests.tflite.conftest import in_tensorflow
from tflite.benchmark import command
from tflite.benchmark.command import benchmark, main

pytestmark = in_tensorflow

QUICK = {"threads": [1], "rounds": 2, "repeats": 3, "warmup": 0}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A file that the delegate takes in two pieces."""
    return graphs.write(
        tmp_path_factory.mktemp("small") / "small.tflite", graphs.interrupted, (1, 16, 16, 4)
    )


def test_measures_files_beside_the_first(converted, small):
    report = benchmark([converted, small], **QUICK)
    first, second = report["files"]
    assert [entry["name"] for entry in report["files"]] == [str(converted), str(small)]
    for entry in (first, second):
        times = entry["times"]["1"]
        assert times["count"] == 6
        assert 0 < times["fastest"] <= times["lower"] <= times["median"] <= times["upper"]
        ratio = times["median"] / first["times"]["1"]["median"]
        assert times["ratio"] == pytest.approx(ratio, abs=0.02)
        kinds = entry["operation_times"]["kinds"]
        shares = sum(kind["share"] for kind in kinds) + entry["operation_times"]["between"]
        assert shares == pytest.approx(1)
        assert entry["peak_memory"] > 0
    assert first["times"]["1"]["ratio"] == 1
    assert (first["coverage"], first["mode"], first["partitions"]) == (1, "float32", 1)
    assert first["input"] == "image float32 1 x 16 x 16 x 3"
    assert first["bytes"] == converted.stat().st_size
    assert (second["delegated"], second["partitions"]) == (2, 2)
    assert second["operations"] == {"CONV_2D": 2, "CUMSUM": 1}
    assert report["settings"] == {**QUICK, "seed": 0}
    assert report["machine"]["processor"]
    assert report["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert report["versions"]["ai-edge-litert"]
    assert any("small.tflite runs in 2 pieces" in note for note in report["notes"])
    assert any("different work" in note for note in report["notes"])


def test_peers_are_made_as_the_files_are(saved, converted, tmp_path):
    from tflite.quantize import quantize

    dynamic = tmp_path / "dynamic.tflite"
    dynamic.write_bytes(quantize(converted.read_bytes(), "dynamic-int8", list))
    messages = []
    report = benchmark(
        [converted, dynamic],
        **QUICK,
        profile=False,
        against=["PLAIN"],
        model=saved,
        keep=tmp_path / "kept",
        progress=messages.append,
    )
    assert [(entry["name"], entry["mode"]) for entry in report["files"]] == [
        (str(converted), "float32"),
        (str(dynamic), "dynamic-int8"),
        ("plain float32", "float32"),
        ("plain dynamic-int8", "dynamic-int8"),
    ]
    assert report["files"][2]["file"] == str(tmp_path / "kept" / "plain-float32.tflite")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        "plain-dynamic-int8.tflite", "plain-float32.tflite"
    ]  # fmt: skip
    assert all(entry["times"]["1"]["ratio"] > 0 for entry in report["files"])
    assert "operation_times" not in report["files"][0]
    assert report["settings"]["against"] == ["plain"]
    assert messages[:2] == ["Building plain", "Timing 4 files"]


def test_command_line(converted, small, tmp_path, capsys):
    target = tmp_path / "report.json"
    arguments = ["--threads", "2", "1", "--rounds", "1", "--repeats", "1", "--ops", "2"]
    assert main([str(converted), str(small), *arguments, "--report", str(target)]) == 0
    report = json.loads(target.read_text())
    assert list(tmp_path.iterdir()) == [target]
    assert list(report["files"][0]["times"]) == ["2", "1"]
    printed = capsys.readouterr().out
    first = report["files"][0]
    row = next(line for line in printed.splitlines() if line.startswith(str(converted)))
    total = sum(first["operations"].values())
    assert f"float32  {first['bytes'] / 1e6:.2f}" in row
    assert f"{first['peak_memory'] / 1e6:.1f}" in row
    assert f"{total}/{total} in 1" in row
    assert row.split()[-1] == "1.00"
    assert "2/3 in 2" in printed
    assert f"{small}: {_short(report['files'][1])} ms under the profiler, 2 threads" in printed
    assert "1 x CUMSUM, not delegated" in printed
    assert "note: " in printed
    assert f"Report           {target}" in printed


def _short(entry):
    return f"{entry['operation_times']['milliseconds']:.3f}"


def test_what_cannot_be_measured_is_said(small, monkeypatch, capsys):
    def crash(*arguments):
        raise ChildProcessError("The process ended with -11")

    monkeypatch.setattr(command.operation_times, "operation_times", crash)
    monkeypatch.setattr(command.memory, "peak_memory", lambda file, threads: None)
    assert main([str(small), "--threads", "1", "--rounds", "1", "--repeats", "1"]) == 0
    printed = capsys.readouterr().out
    assert "operations by time not measured. The process ended with -11" in printed
    assert "not measured" in next(
        line for line in printed.splitlines() if line.startswith(str(small)) and "2/3" in line
    )


BAD = {
    "missing file": (["nowhere.tflite"], "`files` must be .tflite files.*nowhere.tflite"),
    "no litert file": (["{text}"], "`files`.*LiteRT can read.*text.tflite"),
    "threads": (["{file}", "--threads", "1", "0"], r"`threads` must be .*positive.*\[1, 0\]"),
    "threads twice": (["{file}", "--threads", "2", "2"], r"`threads` must be different.*\[2, 2\]"),
    "rounds": (["{file}", "--rounds", "0"], "`rounds` must be at least 1. Received: 0"),
    "repeats": (["{file}", "--repeats", "0"], "`repeats` must be at least 1. Received: 0"),
    "warmup": (["{file}", "--warmup", "-1"], "`warmup` must be at least 0. Received: -1"),
    "ops": (["{file}", "--ops", "-1"], "`ops` must be at least 0. Received: -1"),
    "seed": (["{file}", "--seed", "-1"], "`seed` must be at least 0. Received: -1"),
    "peer": (["{file}", "--against", "vgg"], "`against` must be among .*EfficientNetB0.*'vgg'"),
    "mode": (
        ["{file}", "--against", "mobilenetv2", "--modes", "int4"],
        "`modes` must be among .*'mixed-int8'.*Received: 'int4'",
    ),
    "plain without a model": (["{file}", "--against", "plain"], "`model` must be the Keras model"),
    "model without plain": (
        ["{file}", "--model", "model.keras"],
        "`model` must be left out without `against='plain'`.*'model.keras'",
    ),
    "modes without peers": (["{file}", "--modes", "float32"], "`modes` must be left out"),
    "keep without peers": (["{file}", "--keep", "kept"], "`keep` must be left out"),
    "no images": (
        ["{vector}", "--against", "mobilenetv2"],
        "`against` must be left out where the first file does not take.*float32 1 x 8",
    ),
    "unknown mode": (
        ["{other}", "--against", "mobilenetv2"], "`modes` must be given, since .*other.tflite"
    ),
    "report": (
        ["{file}", "--report", "nowhere/report.json"],
        "`report` must be the path of a file in a folder that exists.*nowhere",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case, small, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, message = BAD[case]
    (tmp_path / "text.tflite").write_text("no model")
    places = {"file": small, "text": tmp_path / "text.tflite"}
    if "{vector}" in words:
        places["vector"] = graphs.write(tmp_path / "vector.tflite", lambda x: x + 1, (1, 8))
    if "{other}" in words:
        places["other"] = _weights_alone(small, tmp_path / "other.tflite")
    before = sorted(tmp_path.iterdir())
    assert main([word.format(**places) for word in words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert re.search(message, error)
    assert sorted(tmp_path.iterdir()) == before


def _weights_alone(source, target):
    from ai_edge_quantizer import qtyping, quantizer

    engine = quantizer.Quantizer(bytearray(source.read_bytes()))
    engine.add_weight_only_config(".*", qtyping.TFLOperationName.CONV_2D, num_bits=8)
    target.write_bytes(bytes(engine.quantize().quantized_model))
    return target
