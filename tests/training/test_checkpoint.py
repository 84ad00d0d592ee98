import keras
import numpy as np
import pytest

from training.checkpoint import Checkpoint, Progress, save


def compiled(units=3, seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, name="dense")], name="small"
    )
    model.compile(keras.optimizers.AdamW(0.1), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def values(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def test_weights_optimizer_metrics_and_progress_come_back(tmp_path):
    source, target = compiled(), compiled(seed=1)
    source.fit(np.ones((8, 4)), np.zeros((8, 3)), epochs=2, verbose=0)
    progress = Progress(2, 5, 1.5, [{"loss": 0.25}, {"loss": 0.125}])
    save(tmp_path / "state.safetensors", source, progress, [np.array(3.0), np.array([1, 2])])
    checkpoint = Checkpoint(tmp_path / "state.safetensors")
    assert checkpoint.progress == progress
    assert [array.tolist() for array in checkpoint.metrics] == [3.0, [1, 2]]
    checkpoint.restore(target)
    for one, other in zip(values(source), values(target), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_model_changes_nothing(tmp_path):
    save(tmp_path / "state.safetensors", compiled(), Progress())
    other = compiled(units=2)
    before = values(other)
    with pytest.raises(ValueError, match=r"`output`.*same model and optimizer.*differs in"):
        Checkpoint(tmp_path / "state.safetensors").restore(other)
    for one, now in zip(before, values(other), strict=True):
        np.testing.assert_array_equal(one, now)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_broken_file_is_named(content, tmp_path):
    (tmp_path / "state.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"`output` must hold a whole checkpoint.*state"):
        Checkpoint(tmp_path / "state.safetensors")


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    model = compiled()
    save(tmp_path / "state.safetensors", model, Progress(epoch=1))
    model.layers[0].kernel.assign(np.full((4, 3), np.nan))
    with pytest.raises(FloatingPointError, match="kernel is not finite"):
        save(tmp_path / "state.safetensors", model, Progress(epoch=2))
    assert Checkpoint(tmp_path / "state.safetensors").progress.epoch == 1


def test_a_disk_that_is_full_keeps_the_older_checkpoint(tmp_path, monkeypatch):
    import safetensors.numpy
    from safetensors import SafetensorError

    model = compiled()
    save(tmp_path / "state.safetensors", model, Progress(epoch=1))

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(OSError, match=r"`output` must be on a disk with room.*No space left"):
        save(tmp_path / "state.safetensors", model, Progress(epoch=2))
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]
    assert Checkpoint(tmp_path / "state.safetensors").progress.epoch == 1
