"""Every row of docs/ablations.md: its line of code builds what the row says."""

import functools
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_poolformer
from keras_poolformer import inference, layers
from keras_poolformer.variants import FAMILIES
from tests.backends import only_under, relative_error, slow_except_under

PAGE = Path(__file__).parent.parent / "docs" / "ablations.md"
ROW = re.compile(r"^\| .+ \| `(?P<code>.+)` \| (?P<parameters>[\d,]+) \| (?P<top1>[\d.]+) % \|$")
ROWS = [match for line in PAGE.read_text("utf-8").splitlines() if (match := ROW.match(line))]
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row["code"])
# Table 5 of the paper, top to bottom.
TOP1 = [
    *(77.2, 74.3, 75.8, 78.1, 77.2, 77.1, 76.8, 76.5, 76.4, 46.1, 76.4, 77.2, 0.1, 5.7),
    *(78.3, 81.0, 77.5, 77.9),
]

FRAME = {
    "PoolFormerS12(residual=False)": "shortcuts",
    "PoolFormerS12(mlp_ratios=None)": "an MLP",
}


def built(row, **kwargs):
    builders = {
        name: functools.partial(getattr(keras_poolformer, name), **kwargs)
        for name in keras_poolformer.__all__
        if name.endswith("S12")
    }
    return eval(row["code"], {**vars(layers), **builders})


def test_the_table_is_the_papers():
    assert [float(row["top1"]) for row in ROWS] == TOP1
    for row in ROWS:
        name = row["code"].removesuffix("S12()")
        if name in FAMILIES:
            assert FAMILIES[name].variants["S12"].top1 == float(row["top1"])


@only_under("torch", "parameters are counted the same everywhere")
@every_row
def test_parameters_at_224(row):
    with keras.StatelessScope(initialize_variables=False):  # only the shapes are of interest
        model = built(row)
    assert model.count_params() == int(row["parameters"].replace(",", ""))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(r, marks=() if i % 4 == 0 else slow_except_under("tensorflow", "torch"))
        for i, r in enumerate(ROWS)
    ],
    ids=lambda row: row["code"],
)
def test_it_classifies_and_is_saved(row, tmp_path):
    model = built(row, input_shape=(32, 32, 3), depths=[1, 1, 1, 1], classes=5)
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype("float32")
    expected = model.predict_on_batch(x)
    assert expected.shape == (2, 5)
    np.testing.assert_allclose(expected.sum(1), 1, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    assert reloaded.get_config() == model.get_config()
    np.testing.assert_array_equal(reloaded.predict_on_batch(x), expected)


@slow_except_under("torch")
@every_row
def test_it_is_fused_or_refused(row):
    model = built(row, input_shape=(32, 32, 3), depths=[1, 1, 1, 1], classes=5)
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype("float32")
    if row["code"] in FRAME:
        with pytest.raises(ValueError, match=f"which has blocks without {FRAME[row['code']]}"):
            inference.fuse(model)
    else:
        fused = inference.fuse(model).predict_on_batch(x)
        assert relative_error(fused, model.predict_on_batch(x)) < 1e-5
