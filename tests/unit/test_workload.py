"""The load generator against real servers, also bad ones."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from lab_utils.arrivals import make_schedule
from lab_utils.errors import InvalidInput, LoadError
from lab_utils.loadgen import pacer
from lab_utils.loadgen.pacer import Pacer
from lab_utils.loadgen.plan import Plan
from lab_utils.workload import fire, fire_closed
from tests.tools.servers import (
    ANSWER,
    GOOD,
    closes,
    drips,
    half_closes,
    http,
    resets,
    serving,
    stalls,
    writes,
)


def fire_some(url, **options):
    return fire(url, **{"rate_rps": 50, "duration_s": 0.4, "arrivals": "constant"} | options)


def test_a_good_answer_becomes_a_row_that_says_who_gave_it():
    with serving(writes(GOOD)) as url:
        run = fire_some(url)
    row = run.requests.iloc[0]
    assert (len(run.requests), run.requests["ok"].all(), run.interrupted) == (20, True, False)
    assert (row["pod"], row["node"], row["role"], row["queue_s"]) == (
        "p-1",
        "n-1",
        "primary",
        0.001,
    )
    assert (run.requests["latency_s"] > 0).all()
    assert (run.requests["lag_s"] >= 0).all()


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(resets, "reset", id="reset"),
        pytest.param(closes(b""), "reset", id="closed without an answer"),
        pytest.param(closes(GOOD[:-5]), "protocol", id="half an answer"),
        pytest.param(half_closes(b""), "reset", id="half-closed without an answer"),
        pytest.param(half_closes(GOOD[:-5]), "protocol", id="half-closed in an answer"),
        pytest.param(drips(GOOD), "timeout", id="slow loris"),
        pytest.param(writes(GOOD.replace(b"82", b"182")), "timeout", id="length too large"),
        pytest.param(closes(GOOD.replace(b"82", b"182")), "protocol", id="too large, then closed"),
        pytest.param(writes(GOOD.replace(b"82", b"8")), "protocol", id="length too small"),
        pytest.param(
            writes(GOOD.replace(b"\r\n", b"\r\nContent-Length: 1\r\n", 1)),
            "protocol",
            id="two lengths",
        ),
        pytest.param(writes(b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n"), "protocol", id="upgrade"),
        pytest.param(stalls, "timeout", id="stall"),
        pytest.param(writes(GOOD[:-5]), "timeout", id="slow body"),
        pytest.param(writes(http(503, b"", "Retry-After: 1")), "http_503", id="503"),
        pytest.param(writes(http(429, b"")), "http_429", id="429"),
        pytest.param(writes(http(500, b"{}")), "http_5xx", id="500"),
        pytest.param(writes(http(404, b"{}")), "http_4xx", id="404"),
        pytest.param(writes(http(302, b"", "Location: /")), "protocol", id="redirect"),
        pytest.param(closes(b"garbage\r\n\r\n"), "protocol", id="garbage"),
        pytest.param(
            closes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "protocol",
            id="chunked garbage",
        ),
        pytest.param(writes(http(200, b"no json")), "protocol", id="no json"),
        pytest.param(writes(http(200, b"[1]")), "protocol", id="wrong json"),
        pytest.param(
            writes(http(200, b'{"parameters": {"queue_s": "x"}}')), "protocol", id="wrong type"
        ),
    ],
)
def test_a_bad_answer_is_a_class_of_outcome_and_never_a_latency(answer, outcome):
    with serving(answer) as url:
        requests = fire_some(url, duration_s=0.1, timeout_s=0.3).requests
    assert set(requests["error"]) == {outcome}
    assert not requests["ok"].any()
    assert requests["latency_s"].isna().all()


@pytest.mark.fault(31)
def test_a_port_where_nobody_listens_refuses():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can take it
        run = fire_some(f"http://127.0.0.1:{taken.getsockname()[1]}", duration_s=0.1)
    assert set(run.requests["error"]) == {"refused"}


@pytest.mark.fault(31)
def test_a_name_without_address_is_a_class_of_its_own():
    requests = fire_some("http://nowhere.invalid", duration_s=0.1, timeout_s=5.0).requests
    assert set(requests["error"]) == {"dns"}


def test_a_client_with_a_failover_list_asks_the_next_and_keeps_every_attempt():
    with serving(writes(http(503, b""))) as bad, serving(writes(GOOD)) as good:
        run = fire_some(bad, failover=[good])
    assert run.requests["ok"].all()
    assert set(run.requests["attempts"]) == {2}
    first, second = (run.attempts[run.attempts["attempt"] == n] for n in (1, 2))
    assert (set(first["error"]), set(second["pod"])) == ({"http_503"}, {"p-1"})
    assert np.array_equal(run.requests["sent_s"], first["sent_s"])
    assert np.array_equal(run.requests["done_s"], second["done_s"])


def test_a_request_fails_when_its_whole_failover_list_does():
    with serving(writes(http(503, b""))) as bad, serving(resets) as worse:
        requests = fire_some(bad, failover=[worse]).requests
    assert set(requests["error"]) == {"reset"}
    assert requests["latency_s"].isna().all()


def test_an_address_in_the_failover_list_that_cannot_be_used_is_named():
    with pytest.raises(InvalidInput, match=r"^failover\[0\] is 'b': want "):
        fire_some("http://127.0.0.1:9", failover=["b"])


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(half_closes(GOOD), id="half-closed after it"),
        pytest.param(
            closes(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD.split(b"\r\n\r\n")[1]), id="ends by closing"
        ),
        pytest.param(writes(b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD), id="after an interim answer"),
        pytest.param(drips(GOOD, 0.0), id="byte by byte"),
    ],
)
def test_an_unusual_but_whole_answer_is_a_success(answer):
    with serving(answer) as url:
        assert fire_some(url, duration_s=0.1).requests["ok"].all()


WITHOUT_SOCKETS = """
import resource, sys
from lab_utils.workload import fire
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
run = fire(sys.argv[1], rate_rps=200, duration_s=1, timeout_s=3, progress=False)
print(sorted(set(run.requests["error"])), run.validity.text)
"""


@pytest.mark.fault(13)
def test_a_client_that_runs_out_of_sockets_counts_it_as_its_own_fault():
    with serving(stalls) as url:
        command = [sys.executable, "-c", WITHOUT_SOCKETS, url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("['client', 'timeout'] INVALID: ")
    assert "failed in the client, which ran out of sockets" in done.stdout


@pytest.mark.fault(31)
def test_a_large_answer_is_read_as_a_whole():
    with serving(writes(http(200, json.dumps(ANSWER).encode() + b" " * 2**20))) as url:
        assert fire_some(url, duration_s=0.1).requests["ok"].all()


@pytest.mark.fault(33)
def test_a_stall_of_one_second_in_ten_is_the_p99_from_the_time_requests_were_due():
    begin = []

    async def freezes_once(writer):
        if not begin:
            begin.append(time.monotonic())
            time.sleep(1.0)  # noqa: ASYNC251 - the whole server is to stand still
        writer.write(GOOD)

    with serving(freezes_once) as url:
        requests = fire_some(url, rate_rps=100, duration_s=10.0).requests
    assert requests["ok"].all()
    assert 95 <= (requests["latency_s"] > 0.05).sum() <= 150  # a closed loop would have seen one
    assert 0.9 <= requests["latency_s"].quantile(0.99) < 1.2


@pytest.mark.parametrize(("keep_alive", "connections"), [(True, 1), (False, 10)])
def test_keep_alive_decides_how_many_connections_there_are(keep_alive, connections):
    peers = set()

    async def notes_peer(writer):
        peers.add(writer.get_extra_info("peername"))
        writer.write(GOOD)

    with serving(notes_peer) as url:
        run = fire_closed(url, count=10, keep_alive=keep_alive)
    assert len(peers) == connections
    assert run.requests["ok"].sum() == 10


def test_a_closed_loop_has_as_many_requests_in_flight_as_users():
    flying, most = [0], [0]

    async def counts(writer):
        flying[0] += 1
        most[0] = max(most[0], flying[0])
        await asyncio.sleep(0.02)
        flying[0] -= 1
        writer.write(GOOD)

    with serving(counts) as url:
        run = fire_closed(url, count=12, users=3)
    assert most == [3]
    assert list(run.requests["request_id"]) == list(range(12))


@pytest.mark.fault(32)
def test_a_run_holds_the_schedule_it_was_sent_by():
    with serving(writes(GOOD)) as url:
        run = fire_some(url, arrivals="poisson", seed=5)
    expected = make_schedule("poisson", 50.0, 0.4, 5)
    assert np.array_equal(run.schedule["scheduled_s"], expected)
    assert np.array_equal(run.requests["scheduled_s"], expected)


@pytest.mark.fault(32)
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("rate_rps", v) for v in (0, -1, float("nan"), float("inf"), 1e6, "20", True, None)),
        *(("duration_s", v) for v in (0, -1, float("nan"), 1e9)),
        *(("timeout_s", v) for v in (0, float("inf"))),
        *(("service_ms", v) for v in (-1, float("nan"))),
        *(("seed", v) for v in (-1, 1.5, True)),
        *(("url", v) for v in ("", "127.0.0.1:80", "ftp://a", "http://", "http://a:b", None)),
        ("arrivals", "normal"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(argument, value):
    good = {"url": "http://127.0.0.1:9", "rate_rps": 10, "duration_s": 1}
    with pytest.raises(InvalidInput, match=rf"^{argument} is .*: want "):
        fire(**good | {argument: value})


@pytest.mark.parametrize(("argument", "value"), [("count", 0), ("users", 0), ("users", 2.0)])
def test_a_closed_loop_names_its_arguments_too(argument, value):
    with pytest.raises(InvalidInput, match=f"^{argument} is .*: want "):
        fire_closed("http://127.0.0.1:9", **{"count": 1} | {argument: value})


def test_too_many_requests_in_all_are_refused():
    with pytest.raises(InvalidInput, match="Lower duration_s"):
        fire("http://127.0.0.1:9", rate_rps=1000, duration_s=2000)


class Recorded:
    """A fault that remembers what was done to it."""

    name, target = "nothing", "lab/nobody"

    def __init__(self, at_s, duration_s=None, broken=False):
        self.at_s, self.duration_s, self.broken, self.calls = at_s, duration_s, broken, []

    def inject(self):
        self.calls.append("inject")
        if self.broken:
            raise RuntimeError("no such pod")

    def undo(self):
        self.calls.append("undo")


def test_faults_happen_on_the_clock_of_the_run_and_are_undone():
    short, instant = Recorded(0.1, 0.1), Recorded(0.2)
    with serving(writes(GOOD)) as url:
        faults = fire_some(url, faults=[instant, short]).faults
    assert short.calls[:2] == ["inject", "undo"]
    assert instant.calls == ["inject", "undo"]
    assert list(faults["start_s"]) == pytest.approx([0.1, 0.2], abs=0.05)
    assert list(faults["end_s"]) == pytest.approx([0.2, 0.2], abs=0.05)


def test_a_fault_that_fails_is_said_and_all_are_undone():
    good, bad = Recorded(0.0, 60.0), Recorded(0.1, broken=True)
    with serving(writes(GOOD)) as url, pytest.raises(LoadError, match="no such pod"):
        fire_some(url, faults=[good, bad], duration_s=30)
    assert good.calls == ["inject", "undo"]
    assert bad.calls == ["inject", "undo"]


def test_a_fault_after_the_end_is_refused():
    with pytest.raises(InvalidInput, match="at_s of fault 'nothing'"):
        fire_some("http://127.0.0.1:9", faults=[Recorded(5.0)])


@pytest.mark.fault(2)
def test_an_interrupt_gives_back_what_there_is_within_a_second():
    interrupted_s = []

    def interrupt():
        interrupted_s.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    with serving(stalls) as url:
        fault = Recorded(0.5, 20.0)
        fault.inject = interrupt
        run = fire_some(url, duration_s=30, faults=[fault])
    assert time.monotonic() - interrupted_s[0] < 1.0
    assert run.interrupted
    assert len(run.requests) >= 20
    assert set(run.requests["error"]) == {"cancelled"}
    assert fault.calls == ["undo"]


def start_generator(url):
    plan = Plan(((url,),), scheduled_s=tuple(i / 50 for i in range(1500)))
    process = subprocess.Popen(
        [sys.executable, "-m", "lab_utils.loadgen"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(plan.to_json().encode() + b"\n")
    process.stdin.flush()
    return process


def test_the_generator_ends_when_its_parent_is_gone():
    with serving(writes(GOOD)) as url, start_generator(url) as process:
        assert "clock" in json.loads(process.stdout.readline())
        process.stdin.close()
        last = [json.loads(line) for line in process.stdout][-1]
        assert process.wait(2) == 0
    assert last["end"]["interrupted"]


def test_a_generator_that_is_killed_leaves_the_rows_it_has_told(monkeypatch):
    from lab_utils.loadgen.process import Generator

    pids, enter = [], Generator.__enter__
    monkeypatch.setattr(
        Generator, "__enter__", lambda self: (enter(self), pids.append(self._process.pid))[0]
    )
    fault = Recorded(0.5)
    fault.inject = lambda: os.kill(pids[0], signal.SIGKILL)
    with serving(writes(GOOD)) as url:
        run = fire_some(url, duration_s=30, faults=[fault])
    assert run.interrupted
    assert 10 <= len(run.requests) <= 30


def test_the_generator_imports_nothing_heavy():
    code = (
        "import sys, lab_utils.loadgen.__main__;"
        "print(sorted({'pandas', 'matplotlib', 'numpy', 'kubernetes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("alarm", [pacer._TimerFd, pacer._Timer], ids=["Linux", "elsewhere"])
def test_the_pacer_keeps_the_order_and_launches_what_is_overdue_at_once(alarm, monkeypatch):
    monkeypatch.setattr(pacer, "_TimerFd", alarm)

    async def pace():
        launched, done = [], asyncio.Event()
        now_ns = time.perf_counter_ns()
        due_ns = [now_ns - 10**9, now_ns - 1, now_ns + 20_000_000, now_ns + 20_000_001]
        paced = Pacer(due_ns, lambda i: launched.append((i, time.perf_counter_ns())), done.set)
        paced.start()
        assert [i for i, _ in launched] == [0, 1]
        await asyncio.wait_for(done.wait(), 5)
        paced.stop()
        return due_ns, launched

    due_ns, launched = asyncio.run(pace())
    assert [i for i, _ in launched] == [0, 1, 2, 3]
    assert all(at_ns >= due_ns[i] for i, at_ns in launched)


def test_a_stopped_pacer_launches_nothing_more():
    async def pace():
        launched = []
        due_ns = [time.perf_counter_ns(), time.perf_counter_ns() + 30_000_000]
        paced = Pacer(due_ns, launched.append, lambda: None)
        paced.start()
        paced.stop()
        await asyncio.sleep(0.05)
        return launched

    assert asyncio.run(pace()) == [0]
