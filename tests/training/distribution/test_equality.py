"""Two processes, or two devices of one, train as one device does."""

import keras
import numpy as np
import pytest

from tests.training.distribution.job import EPOCHS, HELD_OUT, IMAGES, STEPS, build, held_out
from training.distribution.seeds import derived_seed, seed_of_device


@pytest.fixture(params=["two_processes", "two_devices"])
def several(request):
    """The folder of a run on two devices, and what each of its processes saw."""
    return request.getfixturevalue(request.param)


def test_losses_are_those_of_one_device(several, one_device):
    expected = one_device.measured["losses"]
    assert len(expected) == EPOCHS * STEPS == 20
    assert np.ptp(expected) > 0.1  # something was learnt
    for process in several[1]:
        np.testing.assert_allclose(process.measured["losses"], expected, rtol=1e-4)


def test_weights_are_those_of_one_device(several, one_device):
    keras.utils.set_random_seed(0)
    initial = [keras.ops.convert_to_numpy(weight.value) for weight in build().weights]
    moved = [np.abs(a - b).max() for a, b in zip(one_device.weights, initial, strict=True)]
    assert np.median(moved) > 0.01
    for process in several[1]:
        # Adam divides by gradients, which are rounded differently where they are near 0.
        for own, expected in zip(process.weights, one_device.weights, strict=True):
            np.testing.assert_allclose(own, expected, atol=2e-3)


def test_gradients_are_clipped_and_weights_averaged_as_on_one_device(clipped_and_averaged):
    alone, several = clipped_and_averaged
    for process in several:
        np.testing.assert_allclose(process.measured["losses"], alone.measured["losses"], rtol=1e-4)
        for own, expected in zip(
            process.measured["epochs"], alone.measured["epochs"], strict=True
        ):  # those of validation are of the averages
            assert own == pytest.approx(expected, rel=1e-4)
        for own, expected in zip(process.weights, alone.weights, strict=True):
            np.testing.assert_allclose(own, expected, atol=2e-3)


def test_every_image_is_seen_once_an_epoch(several):
    for process in several[1]:
        assert [epoch["seen_once"] for epoch in process.measured["epochs"]] == [IMAGES] * EPOCHS


def test_metrics_are_over_all_workers(several, one_device):
    for process in several[1]:
        for own, expected in zip(
            process.measured["epochs"], one_device.measured["epochs"], strict=True
        ):
            assert own == pytest.approx(expected, rel=1e-4)


def test_weighted_metrics_are_those_of_the_images_without_padding(several):
    """As numpy computes them, from the weights of each process."""
    x, y, _ = held_out()
    for process in several[1]:
        model = build()
        model.set_weights(process.weights)
        logits = keras.ops.convert_to_numpy(model(x[:HELD_OUT])).astype("float64")
        truth = y[:HELD_OUT]
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        for scores in (
            process.measured["scores"],
            {
                name.removeprefix("val_"): value
                for name, value in process.measured["epochs"][-1].items()
                if name.startswith("val_")
            },
        ):
            right = (logits.argmax(1) == truth.argmax(1)).mean()
            assert scores["accuracy"] == pytest.approx(right, abs=1e-6)
            assert scores["entropy"] == pytest.approx(-(truth * log_p).sum(1).mean(), rel=1e-5)


def test_metric_sums_are_over_all_workers_and_can_be_put_back(several, one_device):
    for process in several[1]:
        for own, expected in zip(
            process.measured["metric_sums"], one_device.measured["metric_sums"], strict=True
        ):
            np.testing.assert_allclose(own, expected, rtol=1e-5)
        for own, put_back in zip(
            process.measured["metric_sums"], process.measured["metric_sums_put_back"], strict=True
        ):
            np.testing.assert_allclose(own, put_back, rtol=1e-6)


def test_the_step_is_compiled_once(several):
    assert [process.measured["train_functions"] for process in several[1]] == [1] * len(several[1])


def test_processes_and_devices_are_counted(two_processes):
    _, processes = two_processes
    assert [p.measured["place"] for p in processes] == [[0, 2, 2, True], [1, 2, 2, False]]


def test_devices_of_one_process_are_counted(two_devices):
    _, (process,) = two_devices
    assert process.measured["place"] == [0, 1, 2, True]


def test_sums_are_over_the_processes_in_double_precision(two_processes):
    for process in two_processes[1]:
        assert process.measured["sum"] == [2.0, 1 / 3 + (1 / 3 + 1)]
        assert process.measured["any"] == [True, False]


def test_the_chief_writes_a_model_that_one_device_reads(several):
    output, processes = several
    model = keras.saving.load_model(output / "model.keras", compile=False)
    for own, expected in zip(model.weights, processes[0].weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(own.value), expected)


def test_masks_differ_between_the_devices(several):
    states = [state for process in several[1] for state in process.measured["generators"]]
    if keras.config.backend() == "jax":  # one mask of the global batch, as on one device
        assert states == [[1, 0]] * len(several[1])
    elif keras.config.backend() == "tensorflow":
        assert states == [[1, 0], seed_of_device([1, 0], 1).tolist()]
        assert states[0] != states[1]
    else:  # those of the last of the 20 steps
        assert states == [derived_seed(0, 19, 0), derived_seed(0, 19, 1)]
        assert states[0] != states[1]
