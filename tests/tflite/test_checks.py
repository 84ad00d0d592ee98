from dataclasses import replace

import pytest

from tflite.checks import Graph, read_graph

GOOD = Graph({"CONV_2D": 2, "MEAN": 1}, partitions=1, is_delegated=True, rank=4, is_static=True)

PROBLEMS = [
    ({}, []),
    ({"operations": {"CONV_2D": 1, "TOPK_V2": 1}}, ["do not know: TOPK_V2"]),
    ({"rank": 5}, ["rank 5"]),
    ({"partitions": 3}, ["3 partitions"]),
    ({"partitions": 0}, ["0 partitions"]),
    ({"is_delegated": False}, ["leaves to the CPU"]),
    ({"is_delegated": False, "operations": {"CAST": 1, "MEAN": 1}}, []),
    ({"partitions": 3, "is_delegated": False, "is_static": False}, []),
    ({"rank": 5, "partitions": 2}, ["rank 5", "2 partitions"]),
]


@pytest.mark.parametrize(("change", "expected"), PROBLEMS)
def test_problems(change, expected):
    problems = replace(GOOD, **change).problems()
    assert len(problems) == len(expected)
    assert all(part in problem for part, problem in zip(expected, problems, strict=True))


def test_reads_a_file(converted):
    graph = read_graph(converted)
    assert graph.problems() == []
    assert graph.operations["AVERAGE_POOL_2D"] == 2
    assert "DELEGATE" not in graph.operations


def test_no_file(tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"`file` must be a \.tflite file.*broken"):
        read_graph(tmp_path / "broken.tflite")
