"""An HTTP server for the page: on this machine only, the page's files and chosen models."""

import errno
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

PORT = 8000
BUILD = Path(__file__).with_name("build")
"""Where `npm run build` puts the page."""

ANY = "application/octet-stream"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".tflite": ANY,
    ".wasm": "application/wasm",
}

HEADERS = {
    # Threads of WebAssembly share memory, which browsers give to isolated pages only.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Nothing from elsewhere, and nothing to elsewhere.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "worker-src 'self'",
            "connect-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Asked again each time, and not sent again if it is the same.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class Resource:
    """What stands at an address: a file, or content that was made."""

    source: Path | bytes
    type: str

    def open(self) -> tuple[BinaryIO, int, str | None]:
        """Returns its content, length and version."""
        if isinstance(self.source, bytes):
            return BytesIO(self.source), len(self.source), None
        status = self.source.stat()
        return self.source.open("rb"), status.st_size, f'"{status.st_mtime_ns:x}"'


def site(models: Sequence[Path], build: Path) -> dict[str, Resource]:
    """Returns what the server has: every address, and what stands there.

    Raises:
        ValueError: if the page is not built, or a model is missing.
    """
    if not (build / "index.html").is_file():
        raise ValueError(f"The page is not built: run `make web`. Looked for: {str(build)!r}")
    found = {
        f"/{path.relative_to(build).as_posix()}": Resource(
            path, TYPES.get(path.suffix, "application/octet-stream")
        )
        for path in sorted(build.rglob("*"))
        if path.is_file()
    }
    found["/"] = found["/index.html"]
    names = [path.name for path in models]
    offered = []
    for index, path in enumerate(models):
        if not path.is_file():
            raise ValueError(f"`models` must be .tflite files. Received: {str(path)!r}, not there")
        # Its place, not its name: two folders may have files of one name.
        url = f"models/{index}.tflite"
        name = path.name if names.count(path.name) == 1 else str(path)
        offered.append({"name": name, "url": url})
        found[f"/{url}"] = Resource(path, TYPES[".tflite"])
    found["/models.json"] = Resource(json.dumps(offered).encode(), TYPES[".json"])
    return found


class Handler(BaseHTTPRequestHandler):
    """Answers from the server's site, and 404 to all else."""

    server: "Server"
    protocol_version = "HTTP/1.1"
    server_version = "keras_poolformer"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def _answer(self, with_content: bool) -> None:
        resource = self.server.site.get(unquote(urlsplit(self.path).path))
        if resource is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            content, length, version = resource.open()
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND, explain="The file is no longer there.")
            return
        with content:
            if version is not None and version == self.headers.get("If-None-Match"):
                self.send_response(HTTPStatus.NOT_MODIFIED)
                self.end_headers()
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", resource.type)
            self.send_header("Content-Length", str(length))
            if version is not None:
                self.send_header("ETag", version)
            self.end_headers()
            if with_content:
                shutil.copyfileobj(content, self.wfile)

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing of what went well; errors are logged."""


class Server(ThreadingHTTPServer):
    """Serves a site on 127.0.0.1."""

    def __init__(self, found: dict[str, Resource], port: int) -> None:
        self.site = found
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Passes over browsers that hang up in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def make_server(models: Sequence[Path], port: int = PORT, build: Path | None = None) -> Server:
    """Returns a server of the page that listens, not yet running.

    Args:
        models: .tflite files that the page offers.
        port: Its port on 127.0.0.1; 0 for a free one.
        build: Folder of the built page, by default where `npm run build` puts it.

    Raises:
        ValueError: if the page is not built, a model is missing or the port is taken.
    """
    if not 0 <= port < 1 << 16:
        raise ValueError(f"`port` must be a number from 0 to 65535. Received: {port}")
    found = site(models, BUILD if build is None else build)
    try:
        return Server(found, port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        reason = "is taken" if error.errno == errno.EADDRINUSE else "may not be used"
        raise ValueError(
            f"`port` must be a free one, or 0 for any. Received: {port}, which {reason}"
        ) from error
