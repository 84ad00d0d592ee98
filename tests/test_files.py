import pytest

from keras_poolformer.files import replacing


def test_the_target_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "result.txt"
    with replacing(target) as path:
        path.write_text("new")
        assert path.parent == tmp_path
        assert path.suffix == ".txt"
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_the_old_target_and_nothing_else(tmp_path):
    target = tmp_path / "result.txt"
    target.write_text("old")

    def write_half():
        with replacing(target) as path:
            path.write_text("half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
