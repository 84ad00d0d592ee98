import numpy as np
import pytest
import tensorflow as tf

from tests.tflite import graphs
from tests.tflite.conftest import in_tensorflow, pixels
from tflite.flatbuffer import unpack
from tflite.interpreter import LiteRTModel

pytestmark = in_tensorflow
SHAPE = (1, 64, 48, 3)


@pytest.mark.parametrize("axes", [(1, 2), (-3, -2), (1, 2, 3), (2, 1)])
@pytest.mark.parametrize("keepdims", [True, False])
def test_means_are_the_same(axes, keepdims, tmp_path):
    content = graphs.content(
        lambda x: tf.reduce_mean(x * x, axes, keepdims=keepdims) * tf.ones((1, 1)), SHAPE
    )
    images = pixels((1, 64, 48, 3))
    before, after = (
        LiteRTModel(graphs.written(tmp_path / name, data))
        for name, data in (("before.tflite", content), ("after.tflite", graphs.shortened(content)))
    )
    assert before.output.shape == after.output.shape
    np.testing.assert_allclose(after(images), before(images), rtol=1e-6)


def test_an_open_batch_stays_open(tmp_path):
    content = graphs.shortened(graphs.content(lambda x: tf.reduce_mean(x, (1, 2)), (None, 8, 8, 3)))
    images = pixels((5, 8, 8, 3))
    model = LiteRTModel(graphs.written(tmp_path / "model.tflite", content), batch=5)
    np.testing.assert_allclose(model(images), images.mean((1, 2)), rtol=1e-6)


def test_means_over_other_axes_stay_as_they_are():
    content = graphs.content(
        lambda x: tf.reduce_mean(tf.reduce_mean(x, 3, keepdims=True), 2), SHAPE
    )
    assert [len(graph.operators) for graph in unpack(graphs.shortened(content)).subgraphs] == [2]
