"""LayerScale multiplies channels, whatever the layout."""

import numpy as np
import pytest

from keras_poolformer.layers import LayerScale
from tests.backends import run, to_numpy


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_each_channel_has_its_factor(data_format):
    shape = (2, 4, 3, 4)  # as wide as it has channels, in both layouts
    axis = 1 if data_format == "channels_first" else 3
    layer = LayerScale(0.1, data_format=data_format)
    layer.build(shape)
    channels = shape[axis]
    assert layer.gamma.shape == (channels,)
    np.testing.assert_array_equal(to_numpy(layer.gamma), np.float32(0.1))
    layer.gamma.assign(np.arange(channels))
    y = np.moveaxis(run(layer, np.ones(shape, "float32")), axis, 0)
    for channel in range(channels):
        np.testing.assert_array_equal(y[channel], channel)


def test_an_unknown_channel_count_is_refused():
    with pytest.raises(ValueError, match="LayerScale needs a known number of channels"):
        LayerScale().build((None, 4, 4, None))
