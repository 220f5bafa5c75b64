import pytest

from lab_utils.dockerfile import Copy, Run, parse
from lab_utils.errors import ImageError

TWO_STAGES = r"""# syntax=docker/dockerfile:1
ARG BASE_IMAGE=python:3.13-slim
FROM ${BASE_IMAGE} AS build
COPY requirements.txt wheels* /wheels/
RUN python -m venv /opt/venv \
    # comments may stand inside
    && /opt/venv/bin/pip install -r /wheels/requirements.txt

FROM --platform=linux/amd64 ${BASE_IMAGE}
ARG VERSION
ARG BASE_IMAGE
LABEL version=$VERSION "org.lab.base"="${BASE_IMAGE}"
ENV PATH=/opt/venv/bin:$PATH GREETING="hello world"
ENV OLD form of ENV
WORKDIR /app
WORKDIR src
COPY --from=build --chown=1:1 /opt/venv /opt/venv
COPY *.py ./
EXPOSE 8000 9000/udp
USER 65532:65532
HEALTHCHECK CMD true
ENTRYPOINT ["python", "-m", "worker"]
CMD serve $VERSION
"""


def test_the_last_stage_has_what_the_image_config_needs():
    stage = parse(TWO_STAGES, "Dockerfile", {"VERSION": "1.2"})[-1]
    assert stage.base == "python:3.13-slim"
    assert stage.labels == {"version": "1.2", "org.lab.base": "python:3.13-slim"}
    assert stage.env["GREETING"] == "hello world"
    assert stage.env["OLD"] == "form of ENV"
    assert (stage.workdir, stage.user) == ("/app/src", "65532:65532")
    assert stage.exposed == ("8000/tcp", "9000/udp")
    assert stage.entrypoint == ("python", "-m", "worker")
    assert stage.cmd == ("/bin/sh", "-c", "serve $VERSION")


def test_steps_keep_their_order_stage_and_line():
    build, final = parse(TWO_STAGES, "Dockerfile", {"BASE_IMAGE": "mine:2"})
    assert (build.base, build.name, final.base) == ("mine:2", "build", "mine:2")
    copy, run = build.steps
    assert copy == Copy(("requirements.txt", "wheels*"), "/wheels/", None, 4)
    assert isinstance(run, Run)
    assert (run.workdir, run.line) == ("/", 5)
    assert "pip install -r /wheels/requirements.txt" in run.command
    assert final.steps[0] == Copy(("/opt/venv",), "/opt/venv", "build", 17)
    assert final.steps[1] == Copy(("*.py",), "/app/src/", None, 18)


def test_a_stage_on_a_stage_inherits_its_settings_but_not_its_arguments():
    text = "FROM a AS one\nARG X=1\nENV E=$X\nWORKDIR /w\nFROM one\nENV F=$E$X"
    final = parse(text, "Dockerfile")[-1]
    assert (final.base, final.workdir) == ("one", "/w")
    assert final.env == {"E": "1", "F": "1"}


def test_the_json_form_of_copy_takes_names_with_blanks():
    (stage,) = parse('FROM scratch\nCOPY ["a b.txt", "/c d/"]', "Dockerfile")
    assert stage.steps == (Copy(("a b.txt",), "/c d/", None, 2),)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "has no FROM"),
        ("# only a comment\n", "has no FROM"),
        ("RUN true\nFROM a", "D:1: RUN before the first FROM"),
        ("FROM a\nRUN <<EOF\necho hi\nEOF", "D:2: RUN with a heredoc"),
        ("FROM a\nCOPY <<-'X' /f\nhi\nX", "D:2: COPY with a heredoc"),
        ("FROM a\nADD https://x.example/f /f", "D:2: ADD: https://x.example/f is on the net"),
        ("FROM a\nADD rootfs.tar.gz /", "unpack"),
        ("FROM a\nCOYP a b", "D:2: COYP is not read here"),
        ("FROM a\nONBUILD RUN x", "ONBUILD is not read here"),
        ("FROM a AS\n", "is not `IMAGE` or `IMAGE AS NAME`"),
        ("FROM a\nCMD ['x']", "use double quotes"),
        ("FROM a\nCMD [1]", "not a JSON list of texts"),
        ("FROM a\nCOPY x", "wants at least one source and a target"),
        ("FROM a\nCOPY x y z", "write z/"),
        ("FROM a\nCOPY --parents x y", "--parents is not read here"),
        ("FROM a\nENV A=${B:-c}", "give the ARG a default"),
        ("FROM a\nENV A=1 B", "can't find ="),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(text, error):
    with pytest.raises(ImageError) as caught:
        parse(text, "D")
    assert error in str(caught.value)
