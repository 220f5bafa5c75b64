"""A machine with Kind: a `kind` and a `docker` that replay, and an engine that remembers."""

import contextlib
import http.server
import json
import re
import socket
import socketserver
import stat
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab_utils.backends.kind import KindBackend
from lab_utils.settings import load_settings

COMMAND = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
name = pathlib.Path(sys.argv[0]).name
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps([name, *sys.argv[1:]]) + "\\n")
exec((folder / (name + ".py")).read_text())
"""
CREATE = """
nodes = {"lab-control-plane": "id0", "lab-worker": "id1"}
if sys.argv[1] == "create":
    print('Creating cluster "lab" ...', file=sys.stderr)
    print(" ✓ Preparing nodes 📦 📦", file=sys.stderr)
    (folder / "nodes.json").write_text(json.dumps({n: [i, "running"] for n, i in nodes.items()}))
if sys.argv[1] == "delete":
    (folder / "nodes.json").unlink(missing_ok=True)
"""
FAILS = (
    CREATE
    + """
if sys.argv[1] == "create":
    print("ERROR: failed to create cluster: docker run error: no space left on device")
    sys.exit(1)
"""
)

HANGS = (
    CREATE
    + """
if sys.argv[1] == "create":
    __import__("signal").pause()
"""
)


DOCKER = """
if sys.argv[1] == "exec":
    answers = json.loads((folder / "answers.json").read_text())
    print("WARN: crictl has something to say", file=sys.stderr)
    print(json.dumps(answers.get(" ".join(sys.argv[2:5]))))
else:
    import io, tarfile
    with tarfile.open(sys.argv[sys.argv.index("--output") + 1], "w") as tar:
        text = json.dumps([{"Config": "blobs/sha256/abc", "RepoTags": ["worker:1"]}]).encode()
        info = tarfile.TarInfo("manifest.json")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
"""


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A Docker engine that knows containers with their states, and one image."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.image: dict[str, Any] | None = None
        self.info: dict[str, Any] = {
            "OSType": "linux",
            "ServerVersion": "20.10",
            "Architecture": "x86_64",
            "NCPU": 4,
            "MemTotal": 8 * 2**30,
        }
        super().__init__(str(folder / "engine.sock"), _Handler)

    @property
    def nodes(self) -> dict[str, list[str]]:
        path = self.folder / "nodes.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def set(self, **states: str) -> None:
        nodes = {name.replace("_", "-"): state for name, state in states.items()}
        ids = {name: [f"id{i}", state] for i, (name, state) in enumerate(nodes.items())}
        (self.folder / "nodes.json").write_text(json.dumps(ids))

    def switch(self, identity: str, state: str) -> None:
        nodes = self.nodes
        for entry in nodes.values():
            entry[1] = state if entry[0] == identity else entry[1]
        (self.folder / "nodes.json").write_text(json.dumps(nodes))


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Engine
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"

    def _answer(self, content: object, code: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path = re.sub(r"^/v[0-9.]+", "", urllib.parse.urlparse(self.path).path)
        if path == "/version":
            self._answer({"ApiVersion": "1.41", "Version": "20.10"})
        elif path == "/info":
            self._answer(self.server.info)
        elif path == "/containers/json":
            self._answer([{"Id": identity} for identity, _ in self.server.nodes.values()])
        elif match := re.fullmatch(r"/containers/(\w+)/json", path):
            self._answer(self._inspect(match[1]))
        elif path == "/images/json":
            self._answer([self.server.image] if self.server.image else [])
        elif path.startswith("/images/") and self.server.image:
            self._answer(self.server.image)
        else:
            self._answer({"message": f"No such image: {path}"}, 404)

    def _die_in_the_middle(self) -> None:
        """Begin a build's log as an engine does that is killed meanwhile."""
        line = b'{"stream": "Step 1/9 : FROM base\\n"}\r\n'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.close_connection = True

    def _inspect(self, identity: str) -> dict[str, object]:
        name = next(name for name, entry in self.server.nodes.items() if entry[0] == identity)
        role = "control-plane" if "control" in name else "worker"
        labels = {"io.x-k8s.kind.cluster": "lab", "io.x-k8s.kind.role": role}
        return {
            "Id": identity,
            "Name": f"/{name}",
            "State": {"Status": self.server.nodes[name][1]},
            "Config": {"Labels": labels, "Image": "kindest/node:v1.36.2"},
        }

    def do_POST(self) -> None:
        path = re.sub(r"^/v[0-9.]+", "", urllib.parse.urlparse(self.path).path)
        if path == "/build":
            self._die_in_the_middle()
            return
        _, _, identity, verb = path.split("/")
        states = {"stop": "exited", "start": "running", "pause": "paused", "unpause": "running"}
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.switch(identity, states[verb])
        self._answer(None, 204)


class World:
    """A PATH with a `kind` and a `docker` of ours, and the engine behind them."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        self.said: list[str] = []
        self.environ = {
            "DOCKER_HOST": f"unix://{folder}/engine.sock",
            "PATH": str(folder / "bin"),
        }
        self.settings = load_settings(
            state_dir=folder / "state", http_port=_free_port(), node_image="kindest/node:v1.36.2"
        )
        self.backend = KindBackend(self.settings)
        self.script("docker", DOCKER)
        self.script("kind", CREATE)

    def script(self, name: str, body: str) -> None:
        (self.folder / f"{name}.py").write_text(body)
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(COMMAND.format(python=sys.executable, folder=str(self.folder)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def answer(self, **answers: object) -> None:
        """Say what `docker exec NODE crictl VERB` writes: lab_worker__images=..."""
        keyed = {
            f"{node.replace('_', '-')} crictl {verb}": answer
            for (node, verb), answer in ((k.split("__"), v) for k, v in answers.items())
        }
        (self.folder / "answers.json").write_text(json.dumps(keyed))

    def start(self) -> None:
        self.backend.start(self.said.append)

    @property
    def left(self) -> list[Path]:
        return list((self.folder / "state/kind/lab").glob("*"))


@contextlib.contextmanager
def kind_world(folder: Path) -> Iterator[World]:
    """Give a PATH and an engine of our own; the caller sets the environment from `environ`."""
    engine = Engine(folder)
    threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.02}).start()
    try:
        yield World(folder, engine)
    finally:
        engine.shutdown()
        engine.server_close()


def _free_port() -> int:
    """Find the first of three free ports in a row."""
    for first in range(20_000, 30_000, 3):
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + 3):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no three free ports in a row")
