"""The server has what the page needs and nothing else. No browser and no built page needed."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tflite.web.__main__ import main
from tflite.web.server import make_server

ROOT = Path(__file__).parents[3]


@pytest.fixture
def build(tmp_path):
    """A folder like that of the built page."""
    folder = tmp_path / "build"
    (folder / "wasm").mkdir(parents=True)
    for name in ("index.html", "page.js", "style.css", "icon.svg", "wasm/litert.wasm"):
        (folder / name).write_text(f"content of {name}")
    return folder


@pytest.fixture
def models(tmp_path):
    paths = [tmp_path / "a.tflite", tmp_path / "b" / "a.tflite", tmp_path / "ü &.tflite"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(str(path).encode())
    return paths


@pytest.fixture
def ask(build, models):
    """Asks a running server: `ask("/page.js", method="HEAD")` gives response and content."""
    server = make_server(models, port=0, build=build)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)

    def request(path, method="GET", **headers):
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()

    yield request
    connection.close()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html?a=1#b", "text/html; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/wasm/litert.wasm", "application/wasm"),
        ("/models.json", "application/json"),
        ("/models/0.tflite", "application/octet-stream"),
    ],
)
def test_types_and_headers(ask, path, kind):
    response, content = ask(path)
    assert response.status == 200
    assert response.headers["Content-Type"] == kind
    assert response.headers["Content-Length"] == str(len(content))
    assert content
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    policy = response.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "connect-src 'self'"} <= set(policy)
    assert "unsafe-inline" not in str(policy)
    assert "'unsafe-eval'" not in str(policy)
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_models_by_their_names(ask, models):
    _, content = ask("/models.json")
    offered = json.loads(content)
    # Two of one name are told apart by their paths.
    assert [model["name"] for model in offered] == [str(models[0]), str(models[1]), "ü &.tflite"]
    for model, path in zip(offered, models, strict=True):
        assert ask(f"/{model['url']}")[1] == path.read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/wasm/",  # no list of a folder
        "/wasm",
        "/models/",
        "/models/3.tflite",
        "/../a.tflite",
        "/%2e%2e/a.tflite",
        "//etc/passwd",
        "/nothing",
    ],
)
def test_nothing_else(ask, path, capsys):
    response, _ = ask(path)
    assert response.status == 404
    assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert "404" in capsys.readouterr().err


def test_nothing_is_said_of_what_goes_well(ask, capsys):
    ask("/")
    assert tuple(capsys.readouterr()) == ("", "")


def test_head(ask):
    response, content = ask("/page.js", method="HEAD")
    assert response.headers["Content-Length"] == str(len("content of page.js"))
    assert content == b""


def test_other_methods(ask, capsys):
    assert ask("/", method="POST")[0].status == 501


def test_the_same_file_is_not_sent_again(ask, build):
    first, _ = ask("/page.js")
    tag = {"If-None-Match": first.headers["ETag"]}
    again, content = ask("/page.js", **tag)
    assert (again.status, content) == (304, b"")
    (build / "page.js").write_text("another build, another content")
    changed, content = ask("/page.js", **tag)
    assert (changed.status, content) == (200, b"another build, another content")


def test_a_model_that_was_removed(ask, models, capsys):
    models[0].unlink()
    response, content = ask("/models/0.tflite")
    assert response.status == 404
    assert b"no longer there" in content


def test_only_this_machine_is_served(build):
    with make_server([], port=0, build=build) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_page_that_is_not_built(tmp_path):
    with pytest.raises(ValueError, match=r"make web"):
        make_server([], port=0, build=tmp_path)


def test_missing_model(build, tmp_path):
    with pytest.raises(ValueError, match=r"`models`.*Received: .*nowhere\.tflite"):
        make_server([tmp_path / "nowhere.tflite"], port=0, build=build)


def test_port_that_is_taken(build):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f"`port`.*Received: {port}, which is taken"):
            make_server([], port=port, build=build)


@pytest.mark.parametrize("port", [-1, 65536])
def test_port_out_of_range(build, port):
    with pytest.raises(ValueError, match=f"`port`.*Received: {port}"):
        make_server([], port=port, build=build)


def test_command_with_bad_input(build, monkeypatch, capsys):
    monkeypatch.setattr("tflite.web.server.BUILD", build)
    assert main(["nowhere.tflite", "--port", "0"]) == 2
    assert "error: `models`" in capsys.readouterr().err


def test_command_until_it_is_interrupted(build, models):
    code = (
        "import signal, sys; from pathlib import Path; import tflite.web.server as s; "
        # A process that a shell starts in the background ignores the signal, and so would this.
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"s.BUILD = Path({str(build)!r}); "
        "from tflite.web.__main__ import main; raise SystemExit(main(sys.argv[1:]))"
    )
    arguments = [sys.executable, "-c", code, str(models[0]), "--port", "0"]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            port = int(re.match(r"http://127\.0\.0\.1:(\d+)/ ", line)[1])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/models/0.tflite")
            assert connection.getresponse().read() == models[0].read_bytes()
            connection.close()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
