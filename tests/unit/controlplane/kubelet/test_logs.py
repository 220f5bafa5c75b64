"""What a container prints, from its pipe into a file and back."""

import asyncio
import os
from pathlib import Path

import pytest

from lab_utils.controlplane.kubelet import logs
from lab_utils.controlplane.kubelet.logs import LogOptions, LogWriter, follow_log, read_log
from tests.unit.controlplane.kubelet.conftest import until


def write_log(path: Path, *rows: str) -> None:
    path.write_text("".join(f"2026-11-23T15:20:{row}\n" for row in rows))


def test_a_log_is_read_without_its_prefix(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    write_log(path, "01.000000000Z stdout F one", "02.000000000Z stdout P two ", "03Z stdout F !")
    assert read_log(path, LogOptions()) == b"one\ntwo !\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (LogOptions(tail_lines=1), b"c\n"),
        (LogOptions(tail_lines=0), b""),
        (LogOptions(limit_bytes=3), b"a\nb"),
        (LogOptions(since="2026-11-23T15:20:02"), b"b\nc\n"),
        (LogOptions(tail_lines=1, timestamps=True), b"2026-11-23T15:20:03.000000000Z c\n"),
    ],
)
def test_options_of_kubectl_logs(tmp_path: Path, options: LogOptions, text: bytes) -> None:
    path = tmp_path / "0.log"
    rows = [f"0{i}.000000000Z stdout F {letter}" for i, letter in enumerate("abc", start=1)]
    write_log(path, *rows)
    assert read_log(path, options) == text


async def test_a_writer_keeps_lines_whole_and_the_last_one_too(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    reader, pipe = os.pipe()
    writer = LogWriter(path, reader)
    os.write(pipe, b"first\nsec")
    await until(lambda: b"first" in read_log(path, LogOptions()))
    os.write(pipe, b"ond\nlast")
    os.close(pipe)
    writer.close()
    os.close(reader)
    assert read_log(path, LogOptions()) == b"first\nsecond\nlast"


@pytest.mark.fault(27)
async def test_a_large_log_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 200_000)
    path = tmp_path / "0.log"
    reader, pipe = os.pipe()
    writer = LogWriter(path, reader)
    block = b"x" * 99 + b"\n"
    for _ in range(100):
        await asyncio.to_thread(os.write, pipe, block * 100)
    os.close(pipe)
    await until(lambda: writer.closed)
    os.close(reader)
    assert path.stat().st_size < 500_000
    assert read_log(path, LogOptions(tail_lines=1)) == block


async def test_following_ends_with_the_container(tmp_path: Path) -> None:
    path, ended = tmp_path / "0.log", asyncio.Event()
    write_log(path, "01.000000000Z stdout F old")
    seen = b""
    async for chunk in follow_log(path, LogOptions(), ended.is_set):
        seen += chunk
        if not ended.is_set():
            with path.open("a") as stream:
                stream.write("2026-11-23T15:20:02.000000000Z stdout F new\n")
            ended.set()
    assert seen == b"old\nnew\n"
