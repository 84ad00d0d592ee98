"""Time and memory against resolution, batch and depth: the line, and what is written down."""

import json

import numpy as np
import pytest

from benchmarks.scaling import __main__ as command
from benchmarks.scaling.line import fit
from benchmarks.scaling.sweeps import SWEEPS
from benchmarks.speed.job import Job
from benchmarks.speed.turns import Result


def test_a_line_is_found_with_its_constant():
    amounts = [1, 2, 4, 8]
    line = fit(amounts, [3 + 2 * amount for amount in amounts])
    assert (line.constant, line.slope) == pytest.approx((3, 2))
    assert line.deviation < 1e-9


def test_what_is_no_line_is_far_from_it():
    amounts = np.array([1.0, 2, 4, 8])
    assert fit(amounts, amounts**2).deviation > 0.2
    assert fit(amounts, amounts * [1, 1.05, 1, 0.95]).deviation < 0.06


def test_neither_part_of_a_line_is_negative():
    line = fit([1, 2, 4], [1, 3, 9])
    assert line.constant == 0
    assert line.slope > 0
    assert fit([1, 2, 4], [4, 3, 2]).slope == 0


def test_two_values_are_no_line():
    with pytest.raises(ValueError, match="`values` must be at least three"):
        fit([1, 2], [1, 2])


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.name)
def test_a_sweep_varies_its_amount_and_grows(sweep):
    jobs = sweep.vary(Job("training", 1))
    amounts = [sweep.amount(job) for job in jobs]
    assert amounts == sorted(set(amounts))
    assert {job.task for job in jobs} == {"training"}


def test_the_command_writes_a_table_a_file_and_a_picture(tmp_path, capsys, monkeypatch):
    def fake(entries, rounds, steps):
        results = [
            Result(c.name, seconds=[[1e-6 * job.size**2] * steps] * rounds, memory=job.size**2)
            for c, job in entries
        ]
        results[-1] = Result(entries[-1][0].name, problem="killed")
        return results

    monkeypatch.setattr(command, "run", fake)
    arguments = ["--sweep", "resolution", "--task", "inference", "--backend", "jax"]
    assert command.main([*arguments, "--output", str(tmp_path)]) == 0
    (written,) = json.loads((tmp_path / "scaling.json").read_text())["outcomes"]
    assert written["time_line"]["slope"] == pytest.approx(1e-3)
    assert written["memory_line"]["deviation"] < 1e-6
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "| resolution | inference | JAX | 16 to 590 | 0% |" in printed
    assert "Not run: resolution, inference, JAX, 1048576 pixels of an image (killed)." in printed


def test_bad_input_is_named(capsys):
    assert command.main(["--rounds", "0"]) == 2
    assert "`--rounds` must be at least 1. Received: 0" in capsys.readouterr().err
