"""Presets come from a hub, are checked, and come from the cache from then on."""

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.torch import save

import keras_poolformer
from keras_poolformer import DownloadError, Preset
from keras_poolformer.checkpoints import presets
from keras_poolformer.checkpoints.download import download
from keras_poolformer.variants import VARIANTS
from tests.backends import only_under
from tests.checkpoints.conftest import values
from tests.checkpoints.hub_server import COMMIT, HubServer
from tests.checkpoints.names import state_dict
from tests.references import copy_from_transformers, transformers_poolformer

pytestmark = only_under("torch", "a download is a file, which test_load loads under each backend")

CONTENT = bytes(range(256)) * 400
PRESET = Preset(
    "tiny", "PoolFormerS12", "sail/tiny", "model.safetensors", "timm", 1000, 77.2,
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)  # fmt: skip
UNKNOWN_HASH = dataclasses.replace(PRESET, sha256=None)


@pytest.fixture
def hub(hub):
    hub.files["sail/tiny", "model.safetensors"] = CONTENT
    return hub


def leftovers(cache):
    return [*cache.rglob("*.safetensors"), *cache.rglob("blobs/*")]


@pytest.mark.parametrize("preset", [PRESET, UNKNOWN_HASH], ids=["known hash", "the hub's hash"])
def test_a_download_and_then_the_cache(preset, hub):
    path = download(preset)
    assert path.read_bytes() == CONTENT
    assert hub.methods() == ["HEAD", "GET"]
    hub.requests.clear()
    assert download(preset) == path
    assert hub.requests == []


def test_a_revision_is_asked_for(hub):
    download(dataclasses.replace(PRESET, revision=COMMIT))
    assert f"/sail/tiny/resolve/{COMMIT}/model.safetensors" in [path for _, path, _ in hub.requests]


def test_a_cut_connection_goes_on_where_it_stopped(hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # 10 MB otherwise
    hub.cut_after = 70_000
    assert download(PRESET).read_bytes() == CONTENT
    assert hub.methods() == ["HEAD", "GET", "GET"]
    first, second = (int(part[6:-1]) if part else 0 for _, _, part in hub.requests[-2:])
    assert first == 0
    assert second == 70_000


@pytest.mark.parametrize("preset", [PRESET, UNKNOWN_HASH], ids=["known hash", "the hub's hash"])
def test_a_damaged_download_is_removed(preset, hub, cache):
    hub.served["sail/tiny", "model.safetensors"] = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match=r"'tiny' is damaged.*model\.safetensors.*removed"):
        download(preset)
    assert leftovers(cache) == []
    del hub.served["sail/tiny", "model.safetensors"]
    assert download(preset).read_bytes() == CONTENT


def test_another_file_than_the_known_one_is_removed(hub, cache):
    hub.files["sail/tiny", "model.safetensors"] = b"a newer file of its authors"
    with pytest.raises(DownloadError, match=f"is damaged.*that of the published.*{PRESET.sha256}"):
        download(PRESET)
    assert leftovers(cache) == []


@pytest.mark.parametrize("preset", [PRESET, UNKNOWN_HASH], ids=["known hash", "the hub's hash"])
def test_a_file_that_rots_in_the_cache_is_found(preset, hub, cache):
    path = download(preset)
    path.resolve().chmod(0o644)
    path.resolve().write_bytes(b"rotten")
    with pytest.raises(DownloadError, match=r"is damaged.*try again"):
        download(preset)
    assert leftovers(cache) == []
    assert download(preset).read_bytes() == CONTENT


def test_a_small_file_has_the_hash_of_git(hub):
    git = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    hub.etag = git
    assert download(UNKNOWN_HASH).read_bytes() == CONTENT
    hub.files["sail/tiny", "other.safetensors"] = CONTENT
    hub.served["sail/tiny", "other.safetensors"] = CONTENT[:-1] + b"x"
    hub.etag = "f" * 40
    with pytest.raises(DownloadError, match="is damaged"):
        download(dataclasses.replace(UNKNOWN_HASH, file="other.safetensors"))


def test_a_hub_that_tells_no_hash(hub):
    hub.etag = "version-7"
    with pytest.raises(DownloadError, match="cannot be checked: .*tells no hash.*'version-7'"):
        download(UNKNOWN_HASH)
    assert download(PRESET).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "missing.bin"}, "'sail/tiny' on the hub has no file 'missing.bin'"),
        ({"repository": "sail/none"}, "the hub has no repository 'sail/none'"),
        ({"revision": "f" * 40}, f"no repository 'sail/tiny' with the revision {'f' * 40}"),
    ],
)
def test_what_the_hub_does_not_have(change, message, hub):
    with pytest.raises(DownloadError, match=f"preset 'tiny' could not be downloaded: .*{message}"):
        download(dataclasses.replace(PRESET, **change))


def test_no_network(cache, monkeypatch):
    server = HubServer()
    server.close()  # its port answers no more
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with pytest.raises(DownloadError) as caught:
        download(PRESET)
    message = str(caught.value)
    assert "The preset 'tiny' could not be downloaded: there is no connection" in message
    assert str(cache) in message
    assert server.endpoint in message
    assert "pass its path as `weights`" in message
    assert "HF_HUB_CACHE" in message


def test_offline_mode(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set and the file is not in"):
        download(PRESET)
    assert hub.requests == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    path = download(PRESET)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert download(PRESET) == path


@pytest.fixture(scope="module")
def s12():
    row = VARIANTS["S12"]
    reference = transformers_poolformer(row.depths, row.dims)
    twin = keras_poolformer.PoolFormerS12()
    copy_from_transformers(reference, twin)
    contents = {
        layout: save({k: v.contiguous() for k, v in state_dict(reference, layout).items()})
        for layout in ("huggingface", "timm")
    }
    return values(twin), contents


@pytest.mark.parametrize("weights", ["imagenet", "poolformer_s12", "poolformer_s12.sail_in1k"])
def test_the_argument_weights_of_a_builder(weights, s12, hub, monkeypatch):
    expected, contents = s12
    preset = presets.find_preset(weights, "PoolFormerS12")
    content = contents[preset.layout]
    hub.files[preset.repository, preset.file] = content
    served = dataclasses.replace(
        preset,
        revision=COMMIT if preset.revision else None,
        sha256=hashlib.sha256(content).hexdigest() if preset.sha256 else None,
    )
    monkeypatch.setitem(presets.IMAGENET, "PoolFormerS12", served)
    monkeypatch.setitem(presets.PRESETS, preset.name, served)
    loaded = values(keras_poolformer.PoolFormerS12(weights=weights))
    for name, value in expected.items():
        np.testing.assert_array_equal(loaded[name], value)
    hub.requests.clear()
    backbone = keras_poolformer.PoolFormerS12(weights=weights, include_top=False)
    assert hub.requests == []
    assert values(backbone).keys() == {name for name in expected if not name.startswith("head")}
    with pytest.raises(ValueError, match="`classes` must be 1000"):
        keras_poolformer.PoolFormerS12(weights=weights, classes=10)
    if weights != "imagenet":
        whole = values(keras_poolformer.load_model(weights))
        np.testing.assert_array_equal(whole["stem/kernel"], expected["stem/kernel"])


def test_endpoint_and_cache_come_from_the_environment(hub, tmp_path):
    script = (
        "from keras_poolformer.checkpoints.download import download\n"
        "from tests.checkpoints.test_download import PRESET\n"
        "print(download(PRESET))"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
    del environment["HF_HUB_OFFLINE"]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.splitlines()[-1])
    assert path.is_relative_to(tmp_path / "home")
    assert path.read_bytes() == CONTENT


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-poolformer\[pretrained\]'"):
        download(PRESET)
