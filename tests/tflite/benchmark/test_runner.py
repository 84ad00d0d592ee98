import numpy as np
import pytest

from tests.tflite import graphs
from tests.tflite.conftest import in_tensorflow
from tflite.benchmark.runner import Runner

pytestmark = in_tensorflow


def test_runs_what_the_file_computes(tmp_path):
    file = graphs.write(tmp_path / "twice.tflite", lambda x: 2 * x, (1, 4, 4, 3))
    runner = Runner(file)
    assert runner.image.shape == (1, 4, 4, 3)
    (output,) = runner()
    np.testing.assert_allclose(output, 2 * runner.image)


def test_several_outputs_and_any_rank(tmp_path):
    file = graphs.write(tmp_path / "both.tflite", lambda x: {"a": x + 1, "b": x[:, :2]}, (1, 4))
    assert sorted(output.shape for output in Runner(file)()) == [(1, 2), (1, 4)]


def test_open_batch_is_one(tmp_path):
    file = graphs.write(tmp_path / "open.tflite", graphs.convolution, (None, 8, 8, 4))
    (output,) = Runner(file)()
    assert output.shape == (1, 8, 8, 4)


def test_batch_of_the_file(tmp_path):
    file = graphs.write(tmp_path / "three.tflite", lambda x: x + 1, (3, 4))
    assert Runner(file).image.shape == (3, 4)


def test_integers_have_all_values(tmp_path):
    import tensorflow as tf

    file = graphs.write(
        tmp_path / "pixels.tflite", lambda x: tf.cast(x, "float32"), (1, 64, 64, 3), dtype="uint8"
    )
    image = Runner(file).image
    assert image.dtype == "uint8"
    assert (image.min(), image.max()) == (0, 255)


def test_several_inputs(tmp_path):
    file = graphs.write(tmp_path / "two.tflite", lambda x, y: x + y, (1, 4), (1, 4))
    with pytest.raises(
        ValueError, match=r"`files`.*with one input. Received: '.*two\.tflite' with 2"
    ):
        Runner(file)


def test_open_image_size(tmp_path):
    file = graphs.write(tmp_path / "size.tflite", graphs.convolution, (1, None, 8, 4))
    with pytest.raises(ValueError, match=r"at most the batch open.*shape \[1, -1, 8, 4\]"):
        Runner(file)


def test_input_that_is_no_number(tmp_path):
    import tensorflow as tf

    file = graphs.write(tmp_path / "bits.tflite", tf.logical_not, (1, 4), dtype="bool")
    with pytest.raises(ValueError, match="take numbers. Received: .*input of bool"):
        Runner(file)


def test_no_such_file(tmp_path):
    with pytest.raises(ValueError, match=r"`files`.*'.*none\.tflite', which does not exist"):
        Runner(tmp_path / "none.tflite")


def test_no_litert_file(tmp_path):
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(ValueError, match=r"`files`.*can read.*text\.tflite.*LiteRT says"):
        Runner(tmp_path / "text.tflite")
