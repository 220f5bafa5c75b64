"""The lab's own way to a Docker engine: built, named, pushed, pulled, and refused with a remedy."""

import os
import time
import urllib.request

import pytest

from lab_utils import images
from lab_utils.backends import docker_build
from lab_utils.backends.base import Build
from lab_utils.backends.context import ContextBackend
from lab_utils.backends.engine import connect, probe
from lab_utils.backends.kind import KindBackend
from lab_utils.bundle import make
from lab_utils.bundle.load import load_bundle
from lab_utils.errors import ImageError
from lab_utils.manifests import read
from lab_utils.settings import load_settings, project_root
from tests.tools.registry import running_registry
from tests.unit.test_guest import write_config

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def engine():
    if (found := probe()).problem:
        unavailable = pytest.fail if "LAB_REQUIRE_DOCKER" in os.environ else pytest.skip
        unavailable(found.problem)
    with connect(timeout_s=120) as client:
        yield client


@pytest.fixture(scope="module")
def backend(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    folder.chmod(0o700)
    return KindBackend(load_settings(state_dir=folder))


@pytest.fixture(scope="module")
def built(backend, engine):
    """Build both images of the lab, the second on the first, as `lab.fire(inside=...)` does."""
    said = []
    worker = images.build(backend, load_settings(), images.WORKER, said.append)
    load = images.build(backend, load_settings(), images.LOAD, said.append)
    assert any(line.startswith("Step 1/") for line in said)
    yield {"worker": worker, "load": load}
    for image in (load, worker):
        for tag in (image.tag, image.content_tag):
            engine.images.remove(tag, force=True)


def test_a_built_image_has_two_names_and_never_latest(built, engine):
    worker = built["worker"]
    names = engine.images.get(worker.digest).tags
    assert {worker.tag, worker.content_tag} <= set(names)
    assert not any(name.endswith(":latest") for name in names)


def test_building_the_same_again_gives_the_same_image(built, backend):
    again = images.build(backend, load_settings(), images.WORKER, lambda line: None)
    assert again == built["worker"]


def test_the_load_generators_container_answers_under_the_manifests_limits(built, engine):
    (job,) = read(project_root() / "manifests" / "load" / "job.yaml")
    (spec,) = job.object["spec"]["template"]["spec"]["containers"]
    container = engine.containers.run(
        built["load"].tag,
        detach=True,
        environment={"LAB_TOKEN": "t"},
        ports={"8090/tcp": ("127.0.0.1", None)},
        mem_limit=spec["resources"]["limits"]["memory"].replace("Mi", "m"),
        read_only=True,
        tmpfs={"/tmp": ""},
        cap_drop=["ALL"],
        user="65532:65532",
    )
    try:
        container.reload()
        port = container.ports["8090/tcp"][0]["HostPort"]
        assert answers(f"http://127.0.0.1:{port}/ready")
        assert answers(f"http://127.0.0.1:{port}/t/clock")
    finally:
        container.remove(force=True)


def answers(url, within_s=20.0):
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=1) as response:
                return response.status == 200
        except OSError:
            time.sleep(0.05)
    return False


@pytest.fixture
def guest(built, tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("KUBECONFIG", str(write_config(tmp_path / "config", "prod")))
    with running_registry() as registry:
        settings = load_settings(
            backend="context:prod", registry=f"{registry.host}/me", state_dir=tmp_path
        )
        yield registry, ContextBackend(settings)


def test_an_image_is_pushed_pinned_by_its_digest_and_can_be_pulled(guest, engine):
    registry, backend = guest
    backend.load_image(images.WORKER, lambda line: None)
    (deployment,) = (
        backend.adapt(manifest.object)
        for manifest in read(project_root() / "manifests" / "base" / "deployment-primary.yaml")
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    name, _, digest = container["image"].partition("@")
    assert name == f"{registry.host}/me/{images.WORKER}"
    assert digest == registry.tags["1"]
    engine.images.remove(name)
    assert engine.images.pull(container["image"]).id == engine.images.get(images.WORKER).id
    engine.images.remove(container["image"])


def test_a_registry_that_says_no_is_told_with_what_to_do(guest, engine):
    registry, backend = guest
    registry.denies = True
    with pytest.raises(ImageError, match=r"Pushing .* failed: .*denied.*docker login"):
        backend.load_image(images.WORKER, lambda line: None)
    engine.images.remove(f"{registry.host}/me/{images.WORKER}")


def test_a_registry_that_is_not_there_is_told(built, engine):
    reference = "127.0.0.1:1/me/worker:1"
    with pytest.raises(ImageError, match=r"Pushing 127\.0\.0\.1:1/me/worker:1 failed"):
        docker_build.push(engine, images.WORKER, reference, lambda line: None)
    engine.images.remove(reference)


def build(engine, folder, dockerfile, **arguments):
    path = folder / "Dockerfile"
    path.write_text(dockerfile)
    said = []
    docker_build.build(engine, Build(folder, path, "broken:1", arguments), said.append)


def test_a_step_that_fails_is_told_with_its_own_words(engine, backend, tmp_path):
    dockerfile = f"FROM {load_settings().base_image}\nRUN echo 'Error: the moon is full' && false\n"
    with pytest.raises(ImageError, match=r"Building broken:1 failed: Error: the moon is full"):
        build(engine, tmp_path, dockerfile)


def test_a_wheel_that_is_missing_is_told_with_where_to_put_it(engine, tmp_path):
    install = "RUN pip install --no-index --find-links=/nowhere httptools==0.9.0\n"
    with pytest.raises(ImageError, match=r"No matching distribution.*worker/wheels/"):
        build(engine, tmp_path, f"FROM {load_settings().base_image}\n{install}")


def test_a_base_image_that_cannot_be_had_is_told_with_what_to_do(engine, tmp_path):
    with pytest.raises(ImageError, match=r"Next step: (this machine does not reach|there is no)"):
        build(engine, tmp_path, "FROM nobody.invalid/nothing:1\n")


def test_an_image_that_was_not_built_cannot_be_pushed(engine):
    with pytest.raises(ImageError, match=r"Build it first: lab\.build_image\('nobody:1'\)"):
        docker_build.push(engine, "nobody:1", "127.0.0.1:1/nobody:1", lambda line: None)


def test_a_bundles_images_come_back_into_an_engine(built, engine, tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    settings = load_settings(state_dir=tmp_path)
    monkeypatch.setattr(make, "project_files", list)
    left_out = set(make.PARTS) - {"lab-images"}
    bundle = make.make_bundle(settings, tmp_path / "b.tar", left_out)
    tags = [image.tag for image in built.values()]
    for tag in tags:
        engine.images.remove(tag, force=True)
    (said,) = load_bundle(settings, bundle)
    assert said == f"lab-images: {', '.join(tags)} in Docker"
    assert engine.images.get(tags[0]).id == built["worker"].digest
