"""Whatever is killed, nothing stays behind, and the next start is clean."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from lab_utils.backends.embedded import EmbeddedBackend
from lab_utils.controlplane import launch
from lab_utils.controlplane.config import NODE_MARK, RUN_MARK, ClusterConfig, Layout
from lab_utils.controlplane.processes import marked, wait_until
from lab_utils.session import Lab
from lab_utils.settings import cluster_root, load_settings

GONE_WITHIN_S = 5.0


@pytest.fixture
def own_lab():
    """Give a lab of its own, for tests that kill it."""
    lab = Lab(load_settings(backend="embedded", cluster=f"kill-{uuid.uuid4().hex[:6]}"))
    lab.ensure()
    yield lab
    lab.down()


def root_of(lab):
    return cluster_root(lab.settings, "embedded")


def run_id_of(lab):
    return ClusterConfig.load(Layout(root_of(lab)).config).run_id


def containers_on(lab, node):
    mark = f"{run_id_of(lab)}/{node}"
    return [pid for pid in marked(NODE_MARK, mark) if b"kubelet" not in command_of(pid)]


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read()
    except OSError:
        return b""


@pytest.mark.fault(9)
@pytest.mark.parametrize("victim", ["pid", "guard_pid"], ids=["control plane", "guard"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_when_it_is_killed_nothing_is_left_and_the_next_start_is_clean(own_lab, victim, number):
    run_id = run_id_of(own_lab)
    endpoint = launch.find(root_of(own_lab))
    os.kill(getattr(endpoint, victim), number)
    assert wait_until(lambda: not any(marked(RUN_MARK, run_id)), timeout_s=GONE_WITHIN_S)
    assert not own_lab.status()["running"]
    own_lab.up()
    assert set(own_lab.status()["nodes"].values()) == {"Ready"}


def test_when_a_kubelet_is_killed_its_containers_go_with_it_and_it_comes_back(own_lab):
    node = own_lab.cluster.pods("role=primary")[0]["spec"]["nodeName"]
    before = containers_on(own_lab, node)
    assert before
    (kubelet,) = set(marked(NODE_MARK, f"{run_id_of(own_lab)}/{node}")) - set(before)
    os.kill(kubelet, signal.SIGKILL)
    assert wait_until(
        lambda: not set(before) & set(containers_on(own_lab, node)), timeout_s=GONE_WITHIN_S
    )
    own_lab.ensure()
    assert containers_on(own_lab, node)


@pytest.mark.fault(3)
def test_the_cluster_outlives_the_kernel_and_is_found_again(own_lab):
    code = "import time, lab_utils as lab; lab.up(); print('up', flush=True); time.sleep(60)"
    env = os.environ | {"LAB_BACKEND": "embedded", "LAB_CLUSTER": own_lab.settings.cluster}
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE) as kernel:
        assert kernel.stdout.readline() == b"up\n"
        kernel.kill()
    before = launch.find(root_of(own_lab))
    own_lab.ensure()
    assert launch.find(root_of(own_lab)) == before


@pytest.fixture
def kernels_secret(monkeypatch):
    """Have a secret in the environment of whoever starts the cluster."""
    monkeypatch.setenv("CLOUD_SECRET_KEY", "not-for-workers")
    return b"not-for-workers"


def test_no_process_of_the_cluster_sees_the_environment_of_who_started_it(kernels_secret, own_lab):
    pids = list(marked(RUN_MARK, run_id_of(own_lab)))
    environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in pids]
    assert len(environments) >= 7  # guard, control plane, three kubelets, two workers
    assert not [one for one in environments if kernels_secret in one]


def test_down_leaves_no_process_and_no_secret(own_lab):
    run_id, layout = run_id_of(own_lab), Layout(root_of(own_lab))
    assert own_lab.down()
    assert not own_lab.down()
    assert not any(marked(RUN_MARK, run_id))
    assert not layout.kubeconfig.exists()
    assert not layout.tokens.exists()


@pytest.mark.fault(5)
def test_two_clusters_of_one_user_do_not_meet(own_lab, lab):
    lab.ensure()
    assert own_lab.url() != lab.url()
    own_lab.down()
    assert set(lab.status()["nodes"].values()) == {"Ready"}
    assert isinstance(lab.backend, EmbeddedBackend)
