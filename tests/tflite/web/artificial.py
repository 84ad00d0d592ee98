"""Models that nobody trained: .tflite files without operations, and files that echo pixels."""

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

FLOAT32, FLOAT16, INT32, UINT8, INT8 = 0, 1, 2, 3, 9
IMAGE = (UINT8, (1, 16, 16, 3))
SCORES = (FLOAT32, (1, 10))


def tflite_file(inputs=(IMAGE,), outputs=(SCORES,)):
    """Returns a file with tensors of these types and shapes (-1: open), and nothing between."""
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(*spec) for spec in (*inputs, *outputs)]
    graph.inputs = list(range(len(inputs)))
    graph.outputs = list(range(len(inputs), len(graph.tensors)))
    graph.operators = []
    model = schema.ModelT()
    model.version = 3
    model.subgraphs = [graph]
    model.buffers = [schema.BufferT()]
    model.operatorCodes = []
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(dtype, shape):
    tensor = schema.TensorT()
    tensor.type = dtype
    tensor.shape = [max(size, 1) for size in shape]
    if -1 in shape:
        tensor.shapeSignature = list(shape)
    return tensor


def converted_function(function, shape, dtype):
    """Returns the .tflite file of a TensorFlow function of an image, with output "logits"."""
    import tensorflow as tf

    from training.quiet import quiet

    @tf.function(input_signature=[tf.TensorSpec(shape, dtype, name="image")])
    def run(image):
        return {"logits": function(tf, image)}

    with quiet():
        return tf.lite.TFLiteConverter.from_concrete_functions(
            [run.get_concrete_function()], tf.Module()
        ).convert()


def echo(height, width, channels, dtype):
    """Returns a file that gives its pixels back as its scores."""
    return converted_function(
        lambda tf, image: tf.reshape(tf.cast(image, "float32"), (1, height * width * channels)),
        (1, height, width, channels),
        dtype,
    )
