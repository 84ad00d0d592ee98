import pytest

from tests.tflite import graphs
from tests.tflite.conftest import in_tensorflow
from tflite.benchmark.coverage import quantization_mode, read_coverage
from tflite.benchmark.runner import Runner
from tflite.quantize import MODES, quantize

pytestmark = in_tensorflow


def coverage(file):
    return read_coverage(Runner(file).interpreter)


def test_all_in_one_piece(tmp_path):
    found = coverage(graphs.write(tmp_path / "a.tflite", graphs.convolution, (1, 8, 8, 4)))
    assert (found.operations, found.delegated, found.partitions) == ({"CONV_2D": 1}, 1, 1)
    assert found.share == 1


def test_an_operation_between_two_pieces(tmp_path):
    found = coverage(graphs.write(tmp_path / "a.tflite", graphs.interrupted, (1, 8, 8, 4)))
    assert found.operations == {"CONV_2D": 2, "CUMSUM": 1}
    assert (found.delegated, found.total, found.partitions) == (2, 3, 2)
    assert found.share == pytest.approx(2 / 3)


def test_nothing_for_the_delegate(tmp_path):
    import tensorflow as tf

    file = graphs.write(tmp_path / "a.tflite", lambda x: tf.cumsum(x, axis=1), (1, 8, 8, 4))
    found = coverage(file)
    assert (found.delegated, found.total, found.partitions) == (0, 1, 0)


def test_a_converted_model_is_covered(converted):
    found = coverage(converted)
    assert found.partitions == 1
    assert found.delegated == found.total > 50


def network(images):
    """What the modes treat differently: padding, convolutions and a classifier."""
    import tensorflow as tf

    padded = tf.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    features = tf.nn.gelu(tf.nn.conv2d(padded, graphs.weights(5, 5, 4, 16), 2, "VALID"))
    kernel = graphs.weights(3, 3, 16, 1)
    features = tf.nn.gelu(tf.nn.depthwise_conv2d(features, kernel, (1, 1, 1, 1), "SAME"))
    return tf.reduce_mean(features, (1, 2)) @ graphs.weights(16, 8)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "network.tflite"
    return graphs.write(path, network, (1, 8, 8, 4)).read_bytes()


def mode_of(content, folder):
    (folder / "model.tflite").write_bytes(content)
    return quantization_mode(Runner(folder / "model.tflite").interpreter)


@pytest.mark.parametrize("mode", MODES)
def test_modes_are_recognised(mode, content, tmp_path):
    images = [graphs.weights(1, 8, 8, 4)]
    assert mode_of(quantize(content, mode, lambda: images), tmp_path) == mode


OTHERS = {
    "weights alone": ("add_weight_only_config", {"num_bits": 8}),
    "everything": ("add_static_config", {"activation_num_bits": 8, "weight_num_bits": 8}),
}


@pytest.mark.parametrize("other", OTHERS)
def test_other_quantisation_is_none_of_the_modes(other, content, tmp_path):
    from ai_edge_quantizer import qtyping, quantizer

    config, bits = OTHERS[other]
    engine = quantizer.Quantizer(bytearray(content))
    getattr(engine, config)(".*", qtyping.TFLOperationName.ALL_SUPPORTED, **bits)
    ranges = None
    if engine.need_calibration:
        ranges = engine.calibrate({None: [{"image": graphs.weights(1, 8, 8, 4)}]})
    assert mode_of(bytes(engine.quantize(ranges).quantized_model), tmp_path) is None
