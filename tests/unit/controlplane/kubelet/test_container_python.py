"""What a container's Python sees: names of Services, clusterIPs, volumes at their mountPaths."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lab_utils.controlplane.kubelet.sandbox import sandbox_env, service_links, write_sandbox
from lab_utils.controlplane.names import names
from lab_utils.controlplane.routes import routes

POD: dict[str, Any] = {
    "metadata": {"name": "client", "namespace": "lab"},
    "spec": {"hostAliases": [{"ip": "127.9.9.9", "hostnames": ["printer"]}]},
}
Run = Callable[..., str]


def service(name: str, ip: str = "10.96.1.2", **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80}]
    metadata = {"name": name, "namespace": "lab"}
    return {"metadata": metadata, "spec": {"clusterIP": ip, "ports": ports, **spec}}


def endpoint_slice(service_name: str, *endpoints: dict[str, Any]) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": service_name}
    metadata = {"name": f"{service_name}-x", "namespace": "lab", "labels": labels}
    return {"metadata": metadata, "endpoints": list(endpoints), "ports": [{"name": "http"}]}


SERVICES = [
    service("web"),
    service("pods", "None"),
    service("other", "", type="ExternalName", externalName="web.lab.svc.cluster.local"),
    service("away", "", type="ExternalName", externalName="localhost"),
    service("nobody", "None"),
]
SLICES = [
    endpoint_slice(
        "pods",
        {"addresses": ["127.70.2.2"], "conditions": {"ready": True}, "hostname": "first"},
        {"addresses": ["127.70.2.3"], "conditions": {"ready": False}},
    )
]


@pytest.fixture
def answering() -> Iterator[int]:
    """Give the port of a server that answers every GET with `hello`."""

    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def table(tmp_path: Path, answering: int) -> Path:
    """Give the file that the Service proxy keeps."""
    path = tmp_path / "services.json"
    doors = {"10.96.1.2:80": answering, "10.96.1.2:81": 0}
    path.write_text(json.dumps({"names": names(SERVICES, SLICES), "doors": doors}))
    return path


@pytest.fixture
def run(tmp_path: Path, table: Path) -> Run:
    """Give a function that runs a piece of Python as a container of the pod would."""

    def run(code: str, *arguments: str, **spec: Any) -> str:
        pod = POD | {"spec": POD["spec"] | spec}
        write_sandbox(tmp_path, pod, "127.70.2.9", table)
        mounts = {"/etc/config": tmp_path / "volume"}
        env = os.environ | sandbox_env(tmp_path, mounts, {})
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("web", "10.96.1.2"),
        ("WEB.lab", "10.96.1.2"),
        ("web.lab.svc", "10.96.1.2"),
        ("web.lab.svc.cluster.local", "10.96.1.2"),
        ("web.lab.svc.cluster.local.", "10.96.1.2"),
        ("pods.lab.svc", "127.70.2.2"),
        ("first.pods.lab.svc", "127.70.2.2"),
        ("other", "10.96.1.2"),
        ("away", "127.0.0.1"),
        ("client", "127.70.2.9"),
        ("printer", "127.9.9.9"),
        ("localhost", "127.0.0.1"),
        ("127.0.0.7", "127.0.0.7"),
    ],
)
def test_a_name_leads_where_it_does_on_a_cluster(run: Run, name: str, address: str) -> None:
    code = """
import asyncio, socket, sys
def of(infos): return {info[4][0] for info in infos if info[0] == socket.AF_INET}
name = sys.argv[1]
async def ask(): return of(await asyncio.get_running_loop().getaddrinfo(name, 80))
print(*{socket.gethostbyname(name)} | of(socket.getaddrinfo(name, 80)) | asyncio.run(ask()))
"""
    assert run(code, name) == address


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("absent.lab.svc", {}),
        ("web.other.svc.cluster.local", {}),
        ("nobody", {}),
        ("web.lab.svc", {"dnsPolicy": "Default"}),
        ("web.lab.svc.cluster.local", {"hostNetwork": True}),
    ],
    ids=["no Service", "other namespace", "no ready pod", "the node's DNS", "the node's network"],
)
def test_a_name_that_nobody_has_is_not_known(run: Run, name: str, spec: dict[str, Any]) -> None:
    code = """
import socket, sys
try: print(socket.getaddrinfo(sys.argv[1], 80))
except socket.gaierror as exc: print(exc.errno == socket.EAI_NONAME, exc.strerror)
"""
    assert run(code, name, **spec) == "True Name or service not known"


@pytest.mark.parametrize(
    "call",
    [
        "urllib.request.urlopen('http://web.lab.svc/').read()",
        "urllib.request.urlopen('http://10.96.1.2:80/').read()",
        "requests.get('http://web/').content",
        "asyncio.run(fetch())",
    ],
    ids=["urllib", "address", "requests", "aiohttp"],
)
def test_a_connection_to_a_service_reaches_it(run: Run, call: str) -> None:
    code = f"""
import aiohttp, asyncio, requests, urllib.request
async def fetch():
    async with aiohttp.ClientSession() as session, session.get("http://web:80/") as response:
        return await response.read()
print({call})
"""
    assert run(code) == "b'hello'"


def test_without_a_ready_pod_or_such_a_port_a_connection_is_refused(run: Run) -> None:
    code = """
import socket
for port in (81, 82):
    try: socket.create_connection(("web", port))
    except ConnectionRefusedError: print("refused")
    with socket.socket() as client: print(client.connect_ex(("10.96.1.2", port)))
"""
    assert run(code).split() == ["refused", "111"] * 2


def test_a_changed_service_is_seen_at_the_next_look(run: Run, table: Path) -> None:
    new = table.with_name("new.json")
    new.write_text(json.dumps({"names": names([service("web", "10.96.7.7")], []), "doors": {}}))
    code = """
import os, socket, sys
print(socket.gethostbyname("web"))
os.replace(*sys.argv[1:])
print(socket.gethostbyname("web"))
"""
    assert run(code, str(new), str(table)).split() == ["10.96.1.2", "10.96.7.7"]


def test_before_there_is_any_service_other_names_resolve(run: Run, table: Path) -> None:
    table.unlink()
    assert run("import socket; print(socket.gethostbyname('localhost'))") == "127.0.0.1"


def test_a_volume_is_found_where_it_is_mounted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "key").write_text("value")
    code = """
import os, pathlib, shutil
config = pathlib.Path("/etc/config")
print(open("/etc/config/key").read(), config.joinpath("key").read_text(), os.listdir(config))
print(config.is_dir(), os.path.exists("/etc/config/no"), os.path.exists("/etc/hostname"))
(config / "a").mkdir(); (config / "a" / "b").write_text("x")
os.replace("/etc/config/a/b", "/etc/config/c")
shutil.rmtree("/etc/config/a")
print(sorted(os.listdir("/etc/config")), *(p.name for p in config.glob("c")))
class Reader: open = open
print(Reader().open("/etc/config/c").read())
"""
    assert run(code).splitlines() == [
        "value value ['key']",
        "True False True",
        "['c', 'key'] c",
        "x",
    ]


def test_a_door_leads_to_the_ready_pods_of_its_port() -> None:
    slices = [
        endpoint_slice("web", {"addresses": ["127.70.2.2"], "nodeName": "n"})
        | {"ports": [{"name": "http", "port": 8000}]}
    ]
    found = routes([service("web"), service("pods", "None")], slices)
    assert found.keys() == {"10.96.1.2:80"}
    (backend,) = found["10.96.1.2:80"].backends
    assert (backend.address, backend.port, backend.node) == ("127.70.2.2", 8000, "n")


def test_services_are_told_of_in_variables() -> None:
    found = service_links([service("my-web"), service("pods", "None")])
    assert found == {
        "MY_WEB_SERVICE_HOST": "10.96.1.2",
        "MY_WEB_SERVICE_PORT": "80",
        "MY_WEB_SERVICE_PORT_HTTP": "80",
        "MY_WEB_PORT": "tcp://10.96.1.2:80",
        "MY_WEB_PORT_80_TCP": "tcp://10.96.1.2:80",
        "MY_WEB_PORT_80_TCP_PROTO": "tcp",
        "MY_WEB_PORT_80_TCP_PORT": "80",
        "MY_WEB_PORT_80_TCP_ADDR": "10.96.1.2",
    }
