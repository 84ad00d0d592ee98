"""Every family and every token mixer becomes a file that passes all checks, in every mode."""

import keras
import pytest

import keras_poolformer
from keras_poolformer.layers import Pooling, SelfAttention
from keras_poolformer.variants import FAMILIES
from tests.tflite.conftest import in_tensorflow, randomize
from tflite.convert import convert
from tflite.quantize import MODES
from tflite.verify import verify

pytestmark = in_tensorflow
SMALLEST = {family: next(iter(of.variants)) for family, of in FAMILIES.items()}
SMALL = {"depths": (1, 1, 2, 1), "dims": (8, 12, 64, 32), "input_shape": (64, 96, 3)}
HYBRIDS = {
    "attention with positions": {
        "token_mixer": ("pooling", "pooling", "self_attention", "self_attention"),
        "norm": "layer_norm",
        "position_embedding_stage": 3,
    },
    "attention with biases": {
        "token_mixer": (Pooling(5), "identity", SelfAttention(16, True, True), "self_attention"),
    },
    "mixing of positions": {
        "token_mixer": (
            *("depthwise_convolution", "pooling"),
            *("spatial_fully_connected", "random_mixing"),
        ),
    },
    "norm over the batch": {"norm": "batch_norm"},
}


def family_model(family, classes=10, **kwargs):
    build = getattr(keras_poolformer, f"{family}{SMALLEST[family]}")
    return randomize(build(include_preprocessing=True, classes=classes, **kwargs))


def hybrid(name):
    model = keras_poolformer.MetaFormer(
        **SMALL, **HYBRIDS[name], include_preprocessing=True, classes=10
    )
    return randomize(model)


def check(model, mode, photographs, target):
    report = convert(model, target, quantize=mode, calibrate=photographs, images=16)
    assert report["partitions"] == 1
    assert report["fully_delegated"]
    assert report["rank"] == 4
    assert report["sqnr_db"] > MODES[mode].minimum_sqnr
    report = verify(target, model)
    assert report["problems"] == []
    return report["operations"]


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of photographs without a download."""
    from PIL import Image

    from tflite.images import sample_images

    folder = tmp_path_factory.mktemp("photographs")
    for index, pixels in enumerate(sample_images((96, 96, 3), 16)):
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


# All modes of a PoolFormer are tested on their own; what differs between families is seen by
# the first and the last.
SOME_MODES = [
    mode if mode in ("float32", "mixed-int8") else pytest.param(mode, marks=pytest.mark.slow)
    for mode in MODES
]


# In integers only those with parts that the others lack.
QUANTIZED = ("PoolFormer", "MetaFormerPPAA", "PoolFormerV2", "ConvFormer", "CAFormer")


def is_fast(family, mode):
    return mode == "float32" or (mode == "mixed-int8" and family in QUANTIZED)


@pytest.mark.parametrize(
    ("family", "mode"),
    [
        pytest.param(family, mode, marks=() if is_fast(family, mode) else pytest.mark.slow)
        for family in SMALLEST
        for mode in MODES
    ],
)
def test_small_ones_of_each_family(family, mode, photos, tmp_path):
    operations = check(family_model(family, **SMALL), mode, photos, tmp_path / "model.tflite")
    # 12 in the blocks at least, and four that embed patches: no product beside them.
    assert operations["CONV_2D"] >= 14
    assert operations["FULLY_CONNECTED"] == (2 if family in ("ConvFormer", "CAFormer") else 1)


@pytest.mark.parametrize("mode", SOME_MODES)
@pytest.mark.parametrize("name", HYBRIDS)
def test_small_hybrids(name, mode, photos, tmp_path):
    check(hybrid(name), mode, photos, tmp_path / "model.tflite")


def test_scale_and_bias_of_star_relu_cost_nothing(photos, tmp_path):
    """A file has a square for each activation, and no more than PoolFormer's for its GELU."""
    first, second = (
        check(family_model(family, **SMALL), "float32", photos, tmp_path / "model.tflite")
        for family in ("PoolFormer", "PoolFormerV2")
    )
    blocks = sum(SMALL["depths"])
    assert first["GELU"] == blocks
    # Beside the squares: ResScale in three blocks, and four norms over channels, one with a scale.
    # The last norm is of a vector and has one less than PoolFormer's of a map.
    assert second["MUL"] - first["MUL"] == blocks + 2 * 3 + 4 * 2 + 1 - 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", SMALLEST)
def test_the_smallest_of_each_family_at_224(family, mode, photos, tmp_path):
    check(family_model(family, classes=1000), mode, photos, tmp_path / "model.tflite")


def test_a_grown_stream_of_the_second_generation_stays_within_float16(photos, tmp_path):
    """Files are scaled by powers of two, as PoolFormer's are."""
    model = family_model("PoolFormerV2", **SMALL)
    for weight in model.trainable_variables:
        if "fc2" in weight.path or "stem_norm" in weight.path:
            weight.assign(300 * keras.ops.convert_to_numpy(weight))
    report = convert(model, tmp_path / "model.tflite")
    assert report["half_precision"]["largest"] < 65_504 / 4
    assert report["sqnr_db"] > 100
