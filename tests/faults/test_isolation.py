"""Users of one machine, and what they can do to each other: faults 6, 35 and 37."""

import json
import socket
import ssl
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from lab_utils.controlplane import launch
from lab_utils.controlplane.config import RUN_MARK, ClusterConfig, Layout
from lab_utils.controlplane.processes import marked, wait_until
from lab_utils.settings import cluster_root
from tests.tools.users import users

LEARNERS = 30
STATE = ".local/state/k8s-inference-lab"


@pytest.fixture
def two_users():
    """Give a user whose cluster runs, made with no umask at all, and another one."""
    with users(2) as (owner, other):
        done = owner.lab("up", umask=0)
        assert done.returncode == 0, done.stderr
        yield owner, other


def layout_of(user):
    return Layout(user.home / STATE / "embedded" / "lab")


@pytest.mark.fault(35)
def test_35_another_user_can_read_nothing_of_a_cluster(two_users):
    owner, other = two_users
    state = owner.home / STATE
    assert list(state.rglob("*"))
    assert "PermissionError" in other.python(f"import os; os.listdir({str(state)!r})")
    kubeconfig = str(layout_of(owner).kubeconfig)
    assert "PermissionError" in other.python(f"open({kubeconfig!r})")
    secret = [layout_of(owner).kubeconfig, layout_of(owner).tokens]
    assert [path.stat().st_mode & 0o777 for path in (state, *secret)] == [0o700, 0o600, 0o600]


@pytest.mark.fault(35)
def test_35_another_user_can_stop_nothing_and_look_into_nothing(two_users):
    owner, other = two_users
    pids = list(marked(RUN_MARK, ClusterConfig.load(layout_of(owner).config).run_id))
    assert len(pids) >= 4  # guard, control plane, nodes
    tries = "import os, sys\nfor pid in sys.argv[1:]:\n"
    tries += " for what in (lambda: os.kill(int(pid), 9), lambda: open(f'/proc/{pid}/environ')):\n"
    tries += "  try: what(); print('got through', pid)\n  except PermissionError: pass"
    assert other.python(tries, *map(str, pids)) == ""
    assert "was not running" in other.lab("down").stdout
    assert json.loads(owner.lab("status", "--json").stdout)["running"]


@pytest.mark.fault(35)
def test_35_without_the_token_the_api_says_nothing(two_users):
    owner, _ = two_users
    layout = layout_of(owner)
    server = json.loads(layout.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    for path in ("/", "/api/v1/namespaces/lab/pods", "/api/v1/secrets", "/metrics"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(server + path, context=trusting(layout.ca))


REACH = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1] + "/config", timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


@pytest.mark.fault(35)
def test_35_another_user_cannot_break_a_worker_by_its_control_port():
    with users(2) as (owner, other), worker_of(owner) as url:
        assert owner.python(REACH, url) == "200"
        assert other.python(REACH, url) == (
            '403 {"error":"this worker belongs to another user of this machine"}'
        )


@contextmanager
def worker_of(user):
    """Run a worker with a control port as this user; give the address of the port."""
    with socket.socket() as free, socket.socket() as other:
        free.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1], other.getsockname()[1]]
    named = {"PORT": str(ports[0]), "CONTROL_PORT": str(ports[1]), "CONTROL": "1"}
    env = {f"WORKER_{name}": value for name, value in named.items()} | {"POD_IP": "127.0.0.1"}
    process = user.popen("-m", "worker", **env)
    try:
        assert wait_until(lambda: listens(ports[1]) or process.poll(), timeout_s=20)
        yield f"http://127.0.0.1:{ports[1]}"
    finally:
        process.kill()
        process.communicate()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def trusting(ca):
    return ssl.create_default_context(cafile=str(ca))


@pytest.mark.fault(6)
def test_06_thirty_learners_who_start_in_the_same_second_do_not_meet():
    with users(LEARNERS) as class_:
        starts = [user.start_lab("up", "--json") for user in class_]
        told = [start.communicate(timeout=240) for start in starts]
        assert [err for start, (_, err) in zip(starts, told, strict=True) if start.returncode] == []
        found = [json.loads(out) for out, _ in told]
        assert all(set(one["nodes"].values()) == {"Ready"} for one in found)
        configs = [json.loads(Path(one["kubeconfig"]).read_text()) for one in found]
        servers = {config["clusters"][0]["cluster"]["server"] for config in configs}
        tokens = {config["users"][0]["user"]["token"] for config in configs}
        octets = {launch.find(layout_of(user).root).octet for user in class_}
        assert (len(servers), len(tokens), len(octets)) == (LEARNERS, LEARNERS, LEARNERS)


@pytest.mark.fault(35, 37)
def test_35_a_token_is_on_no_command_line_and_in_no_log(own_lab, tmp_path, capfd):
    layout = Layout(cluster_root(own_lab.settings, "embedded"))
    tokens = list(json.loads(layout.tokens.read_text()))
    own_lab.ensure()
    own_lab.export_logs(tmp_path / "logs")
    said = [*capfd.readouterr(), json.dumps(own_lab.status()), own_lab.doctor().to_string()]
    said += [
        " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
    ]
    said += [path.read_text(errors="replace") for path in files_of(tmp_path / "logs", layout.nodes)]
    said.append(layout.log.read_text())
    assert len(said) > 20
    assert not [token for token in tokens for text in said if token in text]


def files_of(*folders):
    return [path for folder in folders for path in folder.rglob("*.log*") if path.is_file()]


@pytest.mark.fault(37)
def test_37_the_official_clients_shared_cache_is_neither_read_nor_written(
    own_lab, monkeypatch, tmp_path
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert len(own_lab.get("nodes")) == 3
    assert list(tmp_path.glob("osrcp-*")) == []
