"""The worker's image in a real container, under exactly what the manifests allow a pod."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from docker.models.containers import Container
from docker.models.images import Image

from lab_utils.backends.engine import SILENT_WORK_S, connect, probe
from lab_utils.dockerfile import parse
from lab_utils.units import parse_bytes, parse_cores
from tests.tools.workers import BODY, INFER, Client, Worker

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
MANIFEST = yaml.safe_load((ROOT / "manifests" / "base" / "deployment-primary.yaml").read_text())
POD = MANIFEST["spec"]["template"]["spec"]
MIB = 2**20
READY_S = 7.0
LOAD_S = 60.0


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    found = probe()
    if found.problem:
        unavailable = pytest.fail if "LAB_REQUIRE_DOCKER" in os.environ else pytest.skip
        unavailable(found.problem)
    with connect(timeout_s=SILENT_WORK_S) as client:
        yield client


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> Iterator[Image]:
    """Build the image with the engine's classic builder."""
    tag = f"inference-worker:test-{uuid.uuid4().hex[:8]}"
    built, _ = engine.images.build(path=str(ROOT / "worker"), tag=tag, rm=True, forcerm=True)
    yield built
    engine.images.remove(tag, force=True)


def limits() -> dict[str, Any]:
    """Say what the manifest allows a pod, in Docker's words."""
    (container,) = POD["containers"]
    security, allowed = container["securityContext"], container["resources"]["limits"]
    assert security["allowPrivilegeEscalation"] is False
    return {
        "nano_cpus": round(parse_cores(allowed["cpu"]) * 1e9),
        "mem_limit": parse_bytes(allowed["memory"]),
        "memswap_limit": parse_bytes(allowed["memory"]),
        "read_only": security["readOnlyRootFilesystem"],
        "cap_drop": security["capabilities"]["drop"],
        "security_opt": ["no-new-privileges"],
        "user": f"{POD['securityContext']['runAsUser']}:{POD['securityContext']['runAsGroup']}",
    }


class Pod(Worker):
    """A worker in a container."""

    def __init__(self, container: Container) -> None:
        self.container, self._clients = container, []
        container.reload()
        (published,) = container.ports["8000/tcp"]
        self.port = int(published["HostPort"])

    def is_ready(self) -> bool:
        try:
            return self.get("/v2/health/ready")[0] == 200
        except OSError:
            return False

    def state(self) -> dict[str, Any]:
        self.container.reload()
        return dict(self.container.attrs["State"])


@contextmanager
def started(engine: docker.DockerClient, image: Image, **environ: object) -> Iterator[Pod]:
    """Run the image as a pod would, until it is ready."""
    container = engine.containers.run(
        image.id,
        detach=True,
        environment={name: str(value) for name, value in environ.items()},
        ports={"8000/tcp": ("127.0.0.1", None)},
        **limits(),
    )
    try:
        with closing(Pod(container)) as pod:
            pod.wait_until(pod.is_ready)
            yield pod
    finally:
        container.remove(force=True)


@pytest.fixture
def pod(engine: docker.DockerClient, image: Image) -> Iterator[Pod]:
    with started(engine, image, WORKER_SERVICE_MS=50, POD_NAME="worker-1") as pod:
        yield pod


def test_the_image_adds_at_most_60_mib_to_its_base(engine, image):
    base = engine.images.get(parse((ROOT / "worker" / "Dockerfile").read_text(), "it")[-1].base)
    assert image.attrs["Size"] - base.attrs["Size"] <= 60 * MIB


def contents(image: Image) -> dict[str, tuple[int, str]]:
    """Give every file of the image's own layers with its mode and a hash of its content."""
    saved = io.BytesIO(b"".join(image.save()))
    found: dict[str, tuple[int, str]] = {}
    with tarfile.open(fileobj=saved) as archive:
        (about,) = json.load(archive.extractfile("manifest.json"))
        for layer in about["Layers"][1:]:
            with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                for entry in filter(tarfile.TarInfo.isfile, files):
                    digest = hashlib.sha256(files.extractfile(entry).read()).hexdigest()
                    found[entry.name] = (entry.mode, digest)
    return found


def test_a_second_build_gives_the_same_files(engine, image):
    again, _ = engine.images.build(path=str(ROOT / "worker"), nocache=True, rm=True, forcerm=True)
    try:
        first = contents(image)
        assert "app/worker/app.py" in first
        assert contents(again) == first
    finally:
        engine.images.remove(again.id, force=True)


def test_the_image_runs_as_a_number_without_a_shell_and_says_what_it_is(image):
    config = image.attrs["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["python", "-m", "worker"]
    assert config["Labels"]["org.opencontainers.image.title"] == "inference-worker"
    assert config["Labels"]["org.opencontainers.image.version"] == "1"
    assert set(config["ExposedPorts"]) == {"8000/tcp"}


def test_buildkit_builds_the_same_image(engine, image):
    tag = f"inference-worker:test-{uuid.uuid4().hex[:8]}"
    build_with_buildkit(tag)
    try:
        config = engine.images.get(tag).attrs["Config"]
        assert config["Entrypoint"] == image.attrs["Config"]["Entrypoint"]
        assert config["User"] == image.attrs["Config"]["User"]
    finally:
        engine.images.remove(tag, force=True)


def build_with_buildkit(tag: str) -> None:
    """Build with the first docker command on the path that has BuildKit, or skip the test."""
    for folder in os.get_exec_path():
        if command := shutil.which("docker", path=folder):
            done = subprocess.run(
                [command, "build", "--tag", tag, ROOT / "worker"],
                env=os.environ | {"DOCKER_BUILDKIT": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            if "buildx component is missing" not in done.stderr:
                assert done.returncode == 0, done.stderr
                return
    pytest.skip("no docker command here has BuildKit")


def test_a_pod_is_ready_within_what_its_limit_predicts(engine, image):
    before_s = time.monotonic()
    with started(engine, image) as pod:
        assert time.monotonic() - before_s <= READY_S
        assert pod.metric("process_cpu_seconds_total") <= 0.6


def test_a_pod_answers_and_counts_its_throttling(pod):
    answer = pod.infer()
    assert answer["parameters"]["pod"] == "worker-1"
    assert answer["parameters"]["service_s"] == 0.05
    assert pod.metric("lab_cpu_throttled_periods_total") > 0


def ask_all_along(port: int, until_s: float) -> list[int]:
    """Ask on one kept connection, one request after the other, until a time."""
    statuses = []
    with closing(Client(port)) as client:
        while time.monotonic() < until_s:
            client.send("POST", INFER, BODY)
            statuses.append(client.answer().status)
    return statuses


def test_a_minute_at_the_rate_that_the_limits_allow_is_served_without_being_killed(engine, image):
    """Four slots of 100 ms serve 40/s, as in the manifest; four clients keep them busy."""
    with started(engine, image, WORKER_SLOTS=4) as pod, ThreadPoolExecutor(4) as threads:
        until_s = time.monotonic() + LOAD_S
        clients = [threads.submit(ask_all_along, pod.port, until_s) for _ in range(4)]
        statuses = [status for client in clients for status in client.result(LOAD_S + 30)]
        assert set(statuses) == {200}
        assert len(statuses) >= LOAD_S * 20  # with HTTP and throttling, at least half of 40/s
        assert pod.metric("process_resident_memory_bytes") <= 48 * MIB
        assert pod.state()["Running"]
        assert not pod.state()["OOMKilled"]


def answered_until_closed(port: int) -> list[int]:
    """Ask on one kept connection, one request after the other, until the server closes it."""
    statuses = []
    with closing(Client(port)) as client:
        while True:
            client.send("POST", INFER, BODY)
            answer = client.answer()
            statuses.append(answer.status)
            if answer.headers["Connection"] == "close":
                return statuses


def test_docker_stop_under_load_loses_nothing_and_exits_0(pod):
    with ThreadPoolExecutor(8) as threads:
        clients = [threads.submit(answered_until_closed, pod.port) for _ in range(8)]
        try:
            pod.wait_until(lambda: 'code="200"' in pod.ask("GET", "/metrics").body.decode())
            pod.wait_until(lambda: pod.metric('lab_requests_total{code="200"}') >= 40)
            assert pod.metric("process_resident_memory_bytes") <= 48 * MIB
            assert pod.metric("lab_queue_depth") >= 4
        finally:  # without which the clients would go on for ever
            pod.container.stop(timeout=POD["terminationGracePeriodSeconds"])
        answers = [status for client in clients for status in client.result(timeout=30)]
    assert set(answers) == {200}
    assert (pod.state()["ExitCode"], pod.state()["OOMKilled"]) == (0, False)
