"""Timing contenders in turns: what is compared with what, and what is written down."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import keras_poolformer
from benchmarks.speed import __main__ as command
from benchmarks.speed import report
from benchmarks.speed.ceiling import floor, measure
from benchmarks.speed.contenders import CONTENDERS, REFERENCE, Contender
from benchmarks.speed.device_memory import on_gpu
from benchmarks.speed.job import Job
from benchmarks.speed.turns import Result, run

JOB = Job("inference", 1, size=64, threads=1)


def test_a_ratio_is_taken_within_a_round_and_the_median_over_them():
    # The machine was three times slower in the second round; the ratios do not see it.
    timm = Result("timm", seconds=[[1.0, 1.2, 1.1], [3.3], [1.0]])
    ours = Result("ours", build=1.5, first=2.0, memory=5_000_000)
    ours.seconds = [[0.55], [1.65, 1.6, 1.7], [0.9]]
    rates = {"matrix": 1e9, "bandwidth": 1e9}
    row = report.summary(JOB, [timm, ours], rates)["rows"][1]
    assert row["ratio"] == pytest.approx(0.5)
    assert row["quartiles"] == pytest.approx([0.5, 0.7])
    assert row["milliseconds"] == pytest.approx(900)
    assert row["matrix"] == pytest.approx(floor(JOB)["macs"] / 0.9e9)
    text = report.table(JOB, report.summary(JOB, [timm, ours], rates)["rows"])
    assert "| ours | 0.50 | 0.50-0.70 | 900.0 | 1.1 | 16% | 5% | 5 | 1.5 | 2.0 |" in text


@pytest.mark.parametrize("variant", ["S12", "M36"])
def test_a_step_needs_the_products_that_the_library_counts(variant):
    job = Job("inference", 2, variant=variant)
    model = getattr(keras_poolformer, f"PoolFormer{variant}")()
    assert floor(job)["macs"] == 2 * keras_poolformer.count_macs(model)
    training = floor(dataclasses.replace(job, task="training"))
    assert training["macs"] == 3 * floor(job)["macs"]
    assert training["bytes"] > 3 * floor(job)["bytes"]
    half = floor(dataclasses.replace(job, precision="bfloat16"))
    assert half["bytes"] == floor(job)["bytes"] / 2


def test_the_rates_of_this_machine_are_measured():
    rates = measure(JOB)
    assert 1e8 < rates["matrix"] < 1e16
    assert 1e8 < rates["bandwidth"] < 1e14


def test_who_took_no_part_is_named_with_the_reason():
    rows = report.summary(JOB, [Result("x", problem="not installed: nothing")])["rows"]
    assert "Not run: x (not installed: nothing)." in report.table(JOB, rows)


def test_two_contenders_run_in_processes_of_their_own():
    ours = next(c for c in CONTENDERS if c.name == "keras_poolformer, PyTorch")
    absent = Contender("absent", "nowhere", packages=("no_such_package",))
    broken = Contender("broken", "benchmarks.speed.ours", "no_such_function")
    timm, keras_poolformer, *others = run(
        [(contender, JOB) for contender in (REFERENCE, ours, absent, broken)], 2, 2
    )
    for result in (timm, keras_poolformer):
        assert result.problem is None
        assert [len(times) for times in result.seconds] == [2, 2]
        assert np.all(result.medians > 0)
        assert result.memory > 10_000_000  # the weights alone are 48 MB, less what was there
    assert others[0].problem == "not installed: no_such_package"
    assert "no_such_function" in others[1].problem


def test_the_command_writes_a_table_a_file_and_a_picture(tmp_path, capsys, monkeypatch):
    def fake(entries, rounds, steps):
        return [
            Result(c.name, seconds=[[0.01 * (i + 1)] * steps] * rounds, memory=1)
            for i, (c, _) in enumerate(entries)
        ]

    monkeypatch.setattr(command, "run", fake)
    arguments = [
        "--task",
        "training",
        "--rounds",
        "3",
        "--output",
        str(tmp_path),
        "--together",
        "4",
    ]
    assert command.main(arguments) == 0
    written = json.loads((tmp_path / "speed.json").read_text())
    assert [job["job"]["precision"] for job in written["jobs"]] == ["float32", "bfloat16"]
    names = [row["contender"] for row in written["jobs"][0]["rows"]]
    assert sorted(names) == sorted(c.name for c in CONTENDERS)
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.count("| timm |") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nobody"], "`--only` must be parts of the names"),
        (["--rounds", "0"], "`--rounds` must be at least 1. Received: 0"),
        (["--batch", "0"], "`--batch` must be at least 1. Received: 0"),
        (["--together", "1"], "`--together` must be at least 2"),
    ],
)
def test_bad_input_is_named(arguments, message, capsys):
    assert command.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_memory_is_the_gpus_where_there_is_one(monkeypatch):
    assert on_gpu() is None or torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 123)
    assert on_gpu() == 123
