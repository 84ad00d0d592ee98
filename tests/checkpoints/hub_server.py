"""A server on 127.0.0.1 that speaks the hub's protocol, as far as huggingface_hub uses it.

A file is asked for by `HEAD /{repository}/resolve/{revision}/{file}`, which tells the
commit, the size and the hash and redirects to where the bytes are; those are fetched
with `GET`, from the middle on (`Range`) after a cut.
"""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer:
    """The files of one or more repositories.

    Attributes:
        files: Content by (repository, file).
        served: What is sent instead of the content, by (repository, file).
        cut_after: Bytes after which the next answer breaks off, once.
        requests: All requests: method, path and `Range`.
    """

    def __init__(self):
        self.files = {}
        self.served = {}
        self.cut_after = None
        self.etag = None
        self.requests = []
        # Two, since the client takes what it is told only from a redirect to another host.
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) for _ in range(2)]
        self.endpoint, self.storage = (f"http://127.0.0.1:{s.server_port}" for s in self.servers)
        for server in self.servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def methods(self):
        """The methods of all requests for a file: the client also asks for other things."""
        return [method for method, path, _ in self.requests if not path.startswith("/api/")]

    def _handler(hub):  # noqa: N805  (`self` is the handler's)
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self, status, headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, str(value))
                self.end_headers()

            def do_HEAD(self):
                hub.requests.append(("HEAD", self.path, None))
                repository, _, rest = self.path.lstrip("/").partition("/resolve/")
                revision, _, file = rest.partition("/")
                content = hub.files.get((repository, file))
                if content is None or revision not in ("main", COMMIT):
                    known = any(name == repository for name, _ in hub.files)
                    code = "RevisionNotFound" if content is not None else "EntryNotFound"
                    self.answer(
                        404,
                        {
                            "X-Error-Code": code if known else "RepoNotFound",
                            "X-Error-Message": "not here",
                            "X-Repo-Commit": COMMIT,
                            "Content-Length": 0,
                        },
                    )
                    return
                etag = hub.etag or hashlib.sha256(content).hexdigest()
                self.answer(
                    302,
                    {
                        "Location": f"{hub.storage}/{repository}/resolve/main/{file}",
                        "X-Repo-Commit": COMMIT,
                        "X-Linked-Etag": f'"{etag}"',
                        "X-Linked-Size": len(content),
                        "Content-Length": 0,
                    },
                )

            def do_GET(self):
                hub.requests.append(("GET", self.path, self.headers.get("Range")))
                key = tuple(self.path.lstrip("/").split("/resolve/main/"))
                if key not in hub.files:
                    self.answer(404, {"Content-Length": 0})
                    return
                content = hub.served.get(key, hub.files[key])
                start = int((self.headers.get("Range") or "bytes=0-")[len("bytes=") : -1])
                end = len(content)
                self.answer(
                    206 if start else 200,
                    {
                        "Content-Length": end - start,
                        "Content-Range": f"bytes {start}-{end - 1}/{end}",
                        "Accept-Ranges": "bytes",
                    },
                )
                if hub.cut_after is not None:
                    end, hub.cut_after = hub.cut_after, None
                    self.close_connection = True
                self.wfile.write(content[start:end])

        return Handler
