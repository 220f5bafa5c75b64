import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from lab_utils import images
from lab_utils.backends.base import Build
from lab_utils.backends.embedded import EmbeddedBackend
from lab_utils.backends.pip_check import compare, requirements_of
from lab_utils.controlplane.processes import birth_of
from lab_utils.errors import ClusterNotRunning, ImageError, InvalidInput
from lab_utils.settings import load_settings

HERE = metadata.version("fastapi")


class Workshop:
    """A build context, an embedded backend without a cluster, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.context = folder / "context"
        self.context.mkdir()
        self.said: list[str] = []
        self.backend = EmbeddedBackend(load_settings(state_dir=folder / "state"))
        self.images = folder / "state/embedded/lab/images"

    def write(self, name: str, content: str = "") -> Path:
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def build(self, dockerfile: str, tag: str = "worker:1", **arguments: str) -> dict[str, bytes]:
        """Build; give the files of the image."""
        path = self.write("Dockerfile", dockerfile)
        image = self.backend.build_image(
            Build(self.context, path, tag, arguments), self.said.append
        )
        root = self.images / image.digest.removeprefix("sha256:") / "rootfs"
        self.digest = image.digest
        return {
            str(file.relative_to(root)): file.read_bytes()
            for file in sorted(root.rglob("*"))
            if file.is_file()
        }

    def config(self) -> dict:
        return json.loads((self.images / self.digest[7:] / "config.json").read_text())


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)


def test_copy_places_files_as_docker_does(workshop):
    for name in ("a.py", "b.py", "data/x.txt", "data/deep/y.txt"):
        workshop.write(name, name)
    files = workshop.build(
        "FROM base\nWORKDIR /app\nCOPY *.py ./\nCOPY data /data\n"
        "COPY a.py renamed.py\nCOPY a.py /d/"
    )
    assert files == {
        "app/a.py": b"a.py",
        "app/b.py": b"b.py",
        "app/renamed.py": b"a.py",
        "d/a.py": b"a.py",
        "data/deep/y.txt": b"data/deep/y.txt",
        "data/x.txt": b"data/x.txt",
    }


def test_a_change_of_a_file_or_an_argument_is_another_content(workshop):
    path = workshop.write("Dockerfile", "FROM base\nCOPY a.py /\n")
    source = workshop.write("a.py", "1")
    workshop.write(".dockerignore", "*.md\n")
    wanted = Build(workshop.context, path, "worker:1", {"BASE": "a"})
    first = images.content_hash(wanted)
    workshop.write("notes.md", "not in the image")
    assert images.content_hash(wanted) == first
    assert images.content_hash(replace(wanted, arguments={"BASE": "b"})) != first
    source.write_text("2")
    assert images.content_hash(wanted) != first


def test_the_workers_image_has_a_name_that_follows_from_its_content(workshop):
    image = images.build(workshop.backend, load_settings(), "worker:7", workshop.said.append)
    assert re.fullmatch(r"worker:7-[0-9a-f]{12}", image.content_tag)
    config = json.loads((workshop.images / image.digest[7:] / "config.json").read_text())
    assert config["names"] == sorted(["worker:7", image.content_tag])


def test_the_load_generators_image_has_all_that_it_imports(workshop):
    image = images.build(workshop.backend, load_settings(), images.LOAD, workshop.said.append)
    root = workshop.images / image.digest[7:] / "rootfs" / "app"
    program = "import lab_utils.loadgen.agent, lab_utils.loadgen.__main__ as m; print(m.__file__)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(str(root)), done.stderr


def test_dockerignore_keeps_files_out(workshop):
    for name in ("keep.py", "secret.env", "src/a.py", "src/a.pyc"):
        workshop.write(name)
    workshop.write(".dockerignore", "# all but\n*.env\n**/*.pyc\nDockerfile\n.dockerignore\n")
    assert set(workshop.build("FROM base\nCOPY . /app")) >= {"app/keep.py", "app/src/a.py"}
    assert not {"app/secret.env", "app/src/a.pyc"} & set(workshop.build("FROM base\nCOPY . /app"))
    with pytest.raises(ImageError, match=r"Dockerfile:2: COPY: secret.env is not there"):
        workshop.build("FROM base\nCOPY secret.env /")


def test_stages_build_on_each_other_and_what_run_makes_is_stood_in_for(workshop):
    workshop.write("a.py", "pass")
    files = workshop.build(
        "FROM base AS one\nCOPY a.py /code/\nRUN make /libs\nFROM one AS two\nCOPY a.py /two.py\n"
        "FROM base\nCOPY --from=two / /all/\nCOPY --from=one /libs /libs\n"
    )
    assert set(files) == {"all/code/a.py", "all/two.py"}
    assert any("/libs comes from a RUN" in line for line in workshop.said)
    assert any("RUN make /libs: left out" in line for line in workshop.said)


def test_the_same_content_is_the_same_image_and_other_content_is_another(workshop):
    workshop.write("a.py", "one")
    workshop.build("FROM base\nCOPY a.py /")
    first = workshop.digest
    os.utime(workshop.context / "a.py", (1, 1))
    workshop.build("FROM base\nCOPY a.py /", tag="again:1")
    assert workshop.digest == first
    assert workshop.config()["names"] == ["again:1", "worker:1"]
    workshop.write("a.py", "two")
    workshop.build("FROM base\nCOPY a.py /")
    assert workshop.digest != first
    assert workshop.config()["names"] == ["worker:1"]
    workshop.build('FROM base\nCOPY a.py /\nCMD ["x"]')
    assert len(list(workshop.images.iterdir())) == 3


def test_compiled_python_is_in_the_image_but_not_in_its_digest(workshop):
    workshop.write("a.py", "x = 1")
    files = workshop.build("FROM base\nCOPY a.py /code/\nRUN python -m compileall -q /code")
    compiled = workshop.digest
    assert any(name.endswith(".pyc") for name in files)
    workshop.build("FROM base\nCOPY a.py /code/")
    assert workshop.digest == compiled


def test_the_image_says_what_a_kubelet_needs(workshop):
    workshop.build(
        'FROM base\nARG V\nENV A="b c" V=$V\nUSER 65532\nEXPOSE 80\nENTRYPOINT ["python"]', V="7"
    )
    assert workshop.config()["id"] == workshop.digest
    assert workshop.config()["config"] == {
        "Env": ["A=b c", "V=7"],
        "WorkingDir": "/",
        "User": "65532",
        "Entrypoint": ["python"],
        "Cmd": [],
        "ExposedPorts": {"80/tcp": {}},
        "Labels": {},
    }


@pytest.mark.parametrize(
    ("dockerfile", "error"),
    [
        ("FROM base\nCOPY nope /", "Dockerfile:2: COPY: nope is not there"),
        ("FROM base\nCOPY ../outside /", "outside is not there"),
        ("FROM base\nCOPY *.nope /", r"nothing matches \*.nope"),
        ("FROM base\nCOPY --from=other /x /", "other is no earlier stage"),
        ("FROM base\nRUN pip install -r nope.txt", "no requirements file /nope.txt was copied"),
        ("FROM base\nRUN pip install no-such-library==1", "does not have: no-such-library==1"),
    ],
)
def test_a_failed_build_says_where_and_leaves_nothing(workshop, dockerfile, error):
    with pytest.raises(ImageError, match=error):
        workshop.build(dockerfile)
    assert list(workshop.images.iterdir()) == []


def test_what_a_killed_build_has_left_goes_with_the_next_and_a_running_one_stays(workshop):
    ended = subprocess.Popen(["true"])
    ended.wait()
    abandoned = workshop.images / f".build-{ended.pid}-1-x"
    running = workshop.images / f".build-{os.getpid()}-{birth_of(os.getpid())}-x"
    for folder in (abandoned, running):
        folder.mkdir(parents=True)
    workshop.build("FROM scratch\nWORKDIR /app\n")
    partial = workshop.images / workshop.digest[7:] / f".config.json.{ended.pid}"
    partial.write_text("{")
    workshop.backend.stop()
    assert [path.name for path in workshop.images.glob(".*")] == [running.name]
    assert not partial.exists()


def test_a_symbolic_link_does_not_lead_out_of_the_image(workshop, tmp_path):
    (workshop.context / "link").symlink_to(tmp_path)
    workshop.write("a.py")
    with pytest.raises(ImageError, match="symbolic link"):
        workshop.build("FROM base\nCOPY . /app/\nCOPY a.py /app/link/")
    assert not (tmp_path / "a.py").exists()


def test_a_missing_dockerfile_is_one_sentence(workshop):
    with pytest.raises(ImageError, match="No such file"):
        workshop.backend.build_image(Build(workshop.context, Path("/nope"), "a:1"), print)


def test_the_lab_builds_its_own_worker_here(workshop):
    image = images.build(
        workshop.backend, load_settings(), "inference-worker:1", workshop.said.append
    )
    again = images.build(workshop.backend, load_settings(), "inference-worker:1", print)
    assert image == again
    assert image.digest.startswith("sha256:")


def test_loading_without_a_cluster_says_how_to_start_one(workshop):
    with pytest.raises(ClusterNotRunning, match=r"lab\.up\(\)"):
        images.load(workshop.backend, "worker:1", print)


@pytest.mark.parametrize("tag", ["worker", "Worker:1", "worker:", "a b:1", "../x:1", "x:$(id)", ""])
def test_a_name_that_is_no_tagged_image_is_refused(workshop, tag):
    with pytest.raises(InvalidInput, match="no image name with a tag"):
        images.load(workshop.backend, tag, print)


def test_latest_is_refused_with_the_reason(workshop):
    with pytest.raises(InvalidInput, match="pulls :latest"):
        images.build(workshop.backend, load_settings(), "registry.example:5000/a/b:latest", print)


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("apt-get install -y curl", None),
        ("make pip", None),
        ("echo 'unbalanced", None),
        ("pip install fastapi 'uvicorn[standard]>=0.3' && echo done", 2),
        ("python -m pip install --target /libs --no-deps fastapi; rm -rf x", 1),
        ("/opt/venv/bin/pip3 install -r /w/req.txt", 2),
        ("pip install --find-links=/w $(ls /w/*.whl && echo --no-index) -r /w/req.txt", 2),
        ("pip wheel -w /wheels . ./local /w/a.whl $EXTRA", 0),
        ("cd /w && pip install -r req.txt || true", None),
    ],
)
def test_requirements_are_read_out_of_a_run(tmp_path, command, wanted):
    (tmp_path / "w").mkdir()
    lines = "# comment\nfastapi==1 --hash=sha256:x\n--no-index\n\n-r more.txt\n"
    (tmp_path / "w/req.txt").write_text(lines)
    (tmp_path / "w/more.txt").write_text("uvicorn>=0.1  # why\n")
    if command.startswith("cd "):
        with pytest.raises(ImageError, match=r"no requirements file /req.txt"):
            requirements_of(command, tmp_path, "/")
        return
    found = requirements_of(command, tmp_path, "/")
    assert (None if found is None else len(found)) == wanted


def test_requirements_are_compared_with_this_environment():
    wanted = [f"fastapi=={HERE}", "fastapi==0.0.1", "nope>1", "gone; python_version < '3'"]
    absent, differing = compare(wanted)
    assert absent == ["nope>1"]
    assert differing == [f"fastapi==0.0.1 (here is {HERE})"]
    with pytest.raises(ImageError, match="cannot be read"):
        compare(["not a requirement"])
