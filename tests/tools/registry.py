"""A registry that takes what is pushed and gives it back: as much of the protocol as Docker uses.

Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

import hashlib
import http.server
import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Registry"

    def log_message(self, *_args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline() or b"0", 16):  # b"": the client gave up
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/v2/":
            self._answer(200, b"{}")
        elif content := self.server.found(path):
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
            kind = MANIFEST if "/manifests/" in path else "application/octet-stream"
            self._answer(200, content, Content_Type=kind, Docker_Content_Digest=digest)
        else:
            self._answer(404, b"{}")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        self._body()
        if self.server.denies:
            error = {"errors": [{"code": "DENIED", "message": "requested access is denied"}]}
            self._answer(403, json.dumps(error).encode(), Content_Type="application/json")
            return
        self._answer(202, Location=f"{self.path.partition('?')[0]}{uuid.uuid4().hex}", Range="0-0")

    def do_PATCH(self) -> None:
        sent = self.server.uploads.get(self.path, b"") + self._body()
        self.server.uploads[self.path] = sent
        self._answer(202, Location=self.path, Range=f"0-{len(sent) - 1}")

    def do_PUT(self) -> None:
        path, _, query = self.path.partition("?")
        content = self.server.uploads.pop(path, b"") + self._body()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if found := re.search(r"digest=(sha256(?::|%3A)\w+)", query):
            assert found[1].replace("%3A", ":") == digest
        self.server.blobs[digest] = content
        if "/manifests/" in path:
            self.server.tags[path.rpartition("/")[2]] = digest
        self._answer(201, Docker_Content_Digest=digest, Location=path)


class Registry(http.server.ThreadingHTTPServer):
    """What was pushed: blobs by digest, digests by tag."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.uploads: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.denies = False

    @property
    def host(self) -> str:
        """Its address, as image names have it."""
        return f"127.0.0.1:{self.server_address[1]}"

    def found(self, path: str) -> bytes | None:
        """Find a blob or a manifest."""
        reference = path.rpartition("/")[2]
        return self.blobs.get(self.tags.get(reference, reference))


@contextmanager
def running_registry() -> Iterator[Registry]:
    """Serve on a free port of loopback, which Docker trusts without TLS."""
    registry = Registry()
    threading.Thread(target=registry.serve_forever, args=(0.05,)).start()
    try:
        yield registry
    finally:
        registry.shutdown()
        registry.server_close()
