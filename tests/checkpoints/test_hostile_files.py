"""Files that are broken, or made to harm, end in this library's own error."""

import collections
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from keras_poolformer import CheckpointError, load_checkpoint, load_model
from tests.backends import only_under
from tests.checkpoints.conftest import values
from tests.checkpoints.names import state_dict

pytestmark = only_under("torch", "files are refused before Keras sees them, by the same code")

STEM = "patch_embed.proj.weight"


class Bomb:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def archive(path, data_pkl, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", data_pkl)
        file.writestr("archive/version", "3\n")
        file.writestr("archive/data/0", bytes(4))


def number(value):
    """A pickled integer."""
    return b"\x8a\x08" + struct.pack("<q", value)


def tensor(numel, size, stride):
    """A pickled dictionary with one tensor, whose storage claims `numel` numbers."""

    def numbers(several):
        return b"(" + b"".join(map(number, several)) + b"t"

    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storage = b"((" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    storage += number(numel) + b"tQ"
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + b"K\x00" + numbers(size)
    rebuilt += numbers(stride) + b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}" + text(STEM) + rebuilt + b"s."


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape, size=4, dtype="F32"):
    return {STEM: {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}


PICKLES = {
    "executes.pth": (
        lambda p: torch.save({"a": Bomb()}, p),
        r"refused.*(nt|posix)\.mkdir.*execute",
    ),
    "executes-older.pth": (
        lambda p: torch.save({"a": Bomb()}, p, _use_new_zipfile_serialization=False),
        r"refused.*(nt|posix)\.mkdir",
    ),
    "executes-plain.bin": (
        lambda p: p.write_bytes(pickle.dumps({"a": Bomb()}, 2)),
        "refused|broken",
    ),
    "module.pt": (lambda p: torch.save(torch.nn.Linear(1, 1), p), r"refused.*torch\.nn.*Linear"),
    "bomb.pth": (
        lambda p: archive(p, bytes(50_000_000), zipfile.ZIP_DEFLATED),
        r"refused: it has \d+ bytes and would unpack to 50000006",
    ),
    # Python's own hash of such a tuple overflows the C stack.
    "deep-key.pth": (
        lambda p: archive(p, b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s."),
        "refused: its objects are nested 300002 deep",
    ),
    "deep-older.pth": (
        lambda p: p.write_bytes(b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s."),
        "refused: its objects are nested 300002 deep",
    ),
    "huge-storage.pth": (
        lambda p: archive(p, tensor(2**40, (2**40,), (1,))),
        "broken.*RuntimeError",
    ),
    "huge-view.pth": (lambda p: archive(p, tensor(1, (2**40, 2**10), (0, 0))), "does not fit"),
    "out-of-bounds.pth": (lambda p: archive(p, tensor(1, (100,), (1,))), "broken"),
    "negative.pth": (lambda p: archive(p, tensor(1, (-5,), (1,))), "broken"),
    "memory.pth": (
        lambda p: archive(p, b"\x80\x02}cbuiltins\nbytearray\n" + number(2**50) + b"\x85RK\x01s."),
        "broken",
    ),
    "list.pth": (lambda p: torch.save([torch.ones(1)], p), "dictionary of tensors.*'list'"),
    "no-tensors.pth": (lambda p: torch.save({"lr": 0.1}, p), "dictionary of tensors.*no tensors"),
    "inner.pth": (lambda p: torch.save({"model": {"a": 1}}, p), "has no tensors in 'model'"),
    "numbers-for-names.pth": (lambda p: torch.save({1: torch.ones(1)}, p), "has no tensors"),
    "empty.pth": (lambda p: p.touch(), "broken"),
    "text.pt": (lambda p: p.write_text("<html>Sign in</html>"), "broken"),
}  # fmt: skip

SAFETENSORS = {
    "empty": (b"", "broken"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "broken"),
    "huge-header": (struct.pack("<Q", 2**62) + b"{}", "broken.*header too large"),
    "long-header": (struct.pack("<Q", 10**8 + 1) + b"{}", "broken"),
    "spaces": (safetensors(b"{}" + b" " * 10_000_000), "no PoolFormer checkpoint"),
    "deep": (safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "broken"),
    "no-json": (safetensors(b"\x80\x02}."), "broken"),
    "overflow": (safetensors(entry([2**63, 2**63]), bytes(4)), "broken"),
    "short": (safetensors(entry([2], 8), bytes(4)), "broken"),
    "long": (safetensors(entry([1], 4), bytes(8)), "broken"),
    "nothing-in-it": (safetensors(entry([2**62, 0], 0)), "does not fit"),
    "integers": (safetensors(entry([1], 4, "I32"), bytes(4)), "does not fit"),
}


def check(path, message, model):
    before = values(model)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(model, path)
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(CheckpointError):
        load_model(path)


@pytest.mark.parametrize("name", PICKLES)
def test_pickles(name, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write, message = PICKLES[name]
    write(tmp_path / name)
    check(tmp_path / name, message, small())
    assert list(tmp_path.iterdir()) == [tmp_path / name]  # no folder "executed"


def test_the_bomb_would_go_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Bomb()}, "bomb.pth")
    torch.load("bomb.pth", weights_only=False)
    assert (tmp_path / "executed").is_dir()


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors(name, small, tmp_path):
    content, message = SAFETENSORS[name]
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(content)
    check(path, message, small())


UNUSUAL = {
    "sparse": lambda value: value.to_sparse(),
    "expanded": lambda value: torch.ones(1).expand(value.shape),
    "meta": lambda value: value.to("meta"),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_tensors_without_numbers_of_their_own(case, reference, small, tmp_path):
    state = state_dict(reference, "official")
    state["norm.weight"] = UNUSUAL[case](state["norm.weight"])
    torch.save(state, tmp_path / "file.pth")
    check(tmp_path / "file.pth", r"no float \(1\): norm\.weight is sparse or otherwise", small())


def test_views_and_shared_memory_are_fine(reference, expected, small, tmp_path):
    state = state_dict(reference, "official")
    state = {key: value.contiguous().mT.contiguous().mT if value.ndim > 1 else value
             for key, value in state.items()}  # fmt: skip
    whole = torch.cat([state["norm.weight"], state["norm.bias"]])
    state["norm.weight"], state["norm.bias"] = whole[:20], whole[20:]
    torch.save(state, tmp_path / "file.pth")
    model = small()
    load_checkpoint(model, tmp_path / "file.pth")
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, expected[name])


def test_what_training_programs_save_is_read(reference, small, tmp_path):
    """A real optimizer's state beside the weights is nested, but not deep."""
    state = collections.OrderedDict(state_dict(reference, "timm"))
    weights = [torch.nn.Parameter(value) for value in state.values()]
    optimizer = torch.optim.AdamW(weights)
    sum(weight.sum() for weight in weights).backward()
    optimizer.step()
    content = {"epoch": 3, "state_dict": state, "optimizer": optimizer.state_dict()}
    torch.save(content, tmp_path / "file.pth")
    assert load_checkpoint(small(), tmp_path / "file.pth").entry == "state_dict"


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_cut_files(suffix, cut, reference, small, tmp_path):
    state = {key: value.contiguous() for key, value in state_dict(reference, "timm").items()}
    path = tmp_path / f"file{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content))])
    check(path, "broken", small())


def fuzz(seed, count):
    done = subprocess.run(
        [sys.executable, "-m", "tests.checkpoints.fuzz", str(seed), str(count)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60 + count,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    happened = json.loads(done.stdout.splitlines()[-1])
    assert happened["refused"] + happened["loaded"] == count
    assert happened["refused"] > count / 2
    assert happened["slowest"] < 10


def test_damaged_files():
    fuzz(seed=0, count=100)


@pytest.mark.slow
def test_many_damaged_files():
    fuzz(seed=1000, count=3000)
