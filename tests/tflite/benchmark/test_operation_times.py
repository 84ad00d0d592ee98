import pytest

from tests.tflite import graphs
from tests.tflite.conftest import in_tensorflow
from tflite.benchmark.coverage import read_coverage
from tflite.benchmark.litert_c import Operation, Run
from tflite.benchmark.operation_times import by_kind, operation_times
from tflite.benchmark.runner import Runner

pytestmark = in_tensorflow


def run(whole, *times):
    names = ["Convolution", "CUMSUM", "Convolution", "Add"]
    return Run(
        whole,
        [
            Operation(name, time, is_delegated=name != "CUMSUM")
            for name, time in zip(names, times, strict=False)
        ],
    )


def test_sums_by_kind():
    found = by_kind([run(1000, 300, 200, 100, 0)])
    assert found.milliseconds == 1
    assert [(kind.name, kind.count, kind.milliseconds) for kind in found.kinds] == [
        ("Convolution", 2, pytest.approx(0.4)),
        ("CUMSUM", 1, pytest.approx(0.2)),
        ("Add", 1, 0),
    ]
    assert [kind.share for kind in found.kinds] == pytest.approx([0.4, 0.2, 0])
    assert [kind.is_delegated for kind in found.kinds] == [True, False, True]
    assert found.between == pytest.approx(0.4)
    assert found.not_delegated == 1


def test_the_slower_half_of_the_runs_is_left_out():
    disturbed = run(9000, 8000, 200, 100, 0)
    quiet = [run(1000, 300, 200, 100, 0), run(1200, 500, 200, 100, 0)]
    found = by_kind([disturbed, *quiet, disturbed])
    assert found.milliseconds == pytest.approx(1.1)
    assert found.kinds[0].milliseconds == pytest.approx(0.5)
    assert sum(kind.share for kind in found.kinds) + found.between == pytest.approx(1)


def test_runs_with_different_operations():
    with pytest.raises(ValueError, match="differ in their operations"):
        by_kind([run(1000, 1, 1, 1), run(1000, 1, 1)])


def test_operations_that_take_longer_than_their_run():
    with pytest.raises(ValueError, match="take 1100 us under the profiler, their run 1000"):
        by_kind([run(1000, 1100, 0)])


def test_runs_too_short_to_count():
    with pytest.raises(ValueError, match="less than the microsecond"):
        by_kind([run(0, 0, 0)])


@pytest.mark.parametrize("batch", [1, None])
def test_sees_inside_the_delegate_and_beside_it(batch, tmp_path):
    # Large enough for each operation to take microseconds.
    file = graphs.write(tmp_path / "large.tflite", graphs.interrupted, (batch, 96, 96, 4))
    found = operation_times(file, threads=1, runs=4)
    kinds = {kind.name: kind for kind in found.kinds}
    convolution = next(kind for name, kind in kinds.items() if name.startswith("Convolution"))
    assert (convolution.count, convolution.is_delegated) == (2, True)
    assert (kinds["CUMSUM"].count, kinds["CUMSUM"].is_delegated) == (1, False)
    assert min(convolution.milliseconds, kinds["CUMSUM"].milliseconds) > 0
    assert sum(kind.share for kind in found.kinds) + found.between == pytest.approx(1)
    assert 0 <= found.between < 1
    coverage = read_coverage(Runner(file).interpreter)
    assert found.not_delegated == coverage.total - coverage.delegated == 1


def test_a_converted_model_on_two_threads(converted):
    found = operation_times(converted, threads=2, runs=2)
    assert found.not_delegated == 0
    assert found.milliseconds > 0
    assert {"GELU (NC)", "Average Pooling (NHWC, F32) Pixelwise Average Pooling"} <= {
        kind.name for kind in found.kinds
    }


def test_a_file_that_litert_cannot_read(tmp_path):
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(ValueError, match=r"text\.tflite"):
        operation_times(tmp_path / "text.tflite", threads=1, runs=1)
