"""Turns, medians and quartiles, by a clock that the functions themselves move."""

from functools import partial

import pytest

from tests.tflite import graphs
from tests.tflite.conftest import in_tensorflow
from tflite.benchmark.timing import interleave, spread
from tflite.process import run_module

pytestmark = in_tensorflow


class Bench:
    """Functions that take a known time each, and remember when they were called."""

    def __init__(self, *costs):
        self.now = 0.0
        self.calls = []
        self.runs = [partial(self._work, *item) for item in enumerate(costs)]

    def _work(self, index, cost):
        self.calls.append(index)
        self.now += cost

    def clock(self):
        return self.now

    def orders(self, turn):
        """The order of the functions in each round of turns of `turn` calls."""
        turns = [self.calls[start : start + turn] for start in range(0, len(self.calls), turn)]
        assert all(len(set(calls)) == 1 for calls in turns)
        size = len(self.runs)
        firsts = [calls[0] for calls in turns]
        return [tuple(firsts[start : start + size]) for start in range(0, len(firsts), size)]


def test_each_is_timed_by_itself():
    bench = Bench(1.0, 20.0, 300.0)
    times = interleave(bench.runs, rounds=4, repeats=2, clock=bench.clock)
    assert times == [[1.0] * 8, [20.0] * 8, [300.0] * 8]


def test_the_first_call_of_a_turn_is_not_timed():
    bench = Bench(1.0)
    assert interleave(bench.runs, rounds=3, repeats=2, clock=bench.clock) == [[1.0] * 6]
    assert len(bench.calls) == 3 * (1 + 2)


def test_every_round_has_a_turn_of_each_in_an_order_drawn_anew():
    bench = Bench(1.0, 1.0, 1.0)
    interleave(bench.runs, rounds=12, repeats=2, clock=bench.clock)
    orders = bench.orders(turn=3)
    assert len(orders) == 12
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert len(set(orders)) > 3


def test_the_seed_decides_on_the_orders():
    def orders(seed):
        bench = Bench(1.0, 1.0, 1.0)
        interleave(bench.runs, rounds=12, repeats=1, seed=seed, clock=bench.clock)
        return bench.orders(turn=2)

    assert orders(0) == orders(0) != orders(1)


def test_spread():
    found = spread([0.005, 0.001, 0.002, 0.003, 0.1])
    assert (found.lower, found.median, found.upper) == pytest.approx((2, 3, 5))
    assert found.fastest == pytest.approx(1)
    assert found.count == 5


def test_files_by_threads(tmp_path):
    files = [
        str(graphs.write(tmp_path / f"{name}.tflite", function, (1, 8, 8, 4)))
        for name, function in (("one", graphs.convolution), ("two", graphs.interrupted))
    ]
    task = {"files": files, "threads": [1, 2], "warmup": 1, "rounds": 2, "repeats": 3, "seed": 0}
    times = run_module("tflite.benchmark.timing", task)
    assert [[len(of_file) for of_file in of_threads] for of_threads in times] == [[6, 6], [6, 6]]
    assert all(0 < time < 1 for of_threads in times for of_file in of_threads for time in of_file)
