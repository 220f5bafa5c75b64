"""SPDY/3.1: what a client says is understood however it is cut, and nonsense is refused."""

import itertools
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_utils.controlplane import spdy
from lab_utils.controlplane.spdy import Data, Event, GoAway, Opened, Ping, Reset, Spdy, SpdyError

FIN = 1


class SpdyClient:
    """The client's side, as moby/spdystream speaks it."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
        self.inflate = zlib.decompressobj(zdict=spdy.DICTIONARY)

    def open(self, stream: int, flags: int = 0, **headers: str) -> bytes:
        block = struct.pack(">I", len(headers))
        for pair in headers.items():
            block += b"".join(struct.pack(">I", len(one)) + one.encode() for one in pair)
        body = struct.pack(">IIH", stream, 0, 0) + self._compress(block)
        return control(1, body, flags)

    def headers(self, stream: int) -> bytes:
        return control(8, struct.pack(">I", stream) + self._compress(struct.pack(">I", 0)))

    def _compress(self, block: bytes) -> bytes:
        return self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def control(kind: int, body: bytes, flags: int = 0, version: int = 3) -> bytes:
    return struct.pack(">HHI", 0x8000 | version, kind, flags << 24 | len(body)) + body


def receive(server: Spdy, data: bytes, *cuts: int) -> list[Event]:
    """Feed the bytes in pieces; join the pieces of data again."""
    marks = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    events: list[Event] = []
    for start, end in itertools.pairwise(marks):
        for event in server.receive(data[start:end]):
            last = events[-1] if events else None
            if isinstance(event, Data) and isinstance(last, Data) and not last.is_last:
                events[-1] = Data(last.stream, last.payload + event.payload, event.is_last)
            else:
                events.append(event)
    return events


def test_the_dictionary_is_the_published_one() -> None:
    assert len(spdy.DICTIONARY) == 1423
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2  # the id that zlib puts into every stream


@given(st.lists(st.integers(min_value=0), max_size=20))
def test_a_conversation_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    client = SpdyClient()
    said = [
        client.open(1, streamtype="error", port="80"),
        control(4, struct.pack(">III", 1, 7, 65536)),  # SETTINGS
        client.headers(1),
        client.open(3, FIN, streamtype="data", port="80"),
        spdy.data(3, b"x" * 300),
        control(9, struct.pack(">II", 3, 1000)),  # WINDOW_UPDATE
        spdy.data(3, b"end", is_last=True),
        spdy.ping(5),
        spdy.reset(3, spdy.CANCEL),
        control(7, struct.pack(">II", 3, 0)),  # GOAWAY
    ]
    assert receive(Spdy(), b"".join(said), *cuts) == [
        Opened(1, {"streamtype": "error", "port": "80"}, False),
        Opened(3, {"streamtype": "data", "port": "80"}, True),
        Data(3, b"x" * 300 + b"end", True),
        Ping(5),
        Reset(3),
        GoAway(),
    ]


def test_a_stream_can_end_with_an_empty_frame() -> None:
    assert receive(Spdy(), spdy.data(1, is_last=True)) == [Data(1, b"", True)]


def test_a_large_frame_is_given_on_as_it_comes() -> None:
    server, frame = Spdy(), spdy.data(1, b"x" * (2**24 - 1))
    pieces = [
        event
        for at in range(0, len(frame), 65536)
        for event in server.receive(frame[at : at + 65536])
    ]
    assert max(len(piece.payload) for piece in pieces) <= 65536
    assert sum(len(piece.payload) for piece in pieces) == 2**24 - 1


def test_each_reply_can_be_read_with_the_dictionary() -> None:
    client, server = SpdyClient(), Spdy()
    for stream in (1, 3):
        head, body = (frame := server.reply(stream))[:8], frame[8:]
        assert struct.unpack(">HHI", head) == (0x8003, 2, len(body))
        assert struct.unpack(">I", body[:4])[0] == stream
        assert client.inflate.decompress(body[4:]) == bytes(4)


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b"\x80\x02" + bytes(6), id="SPDY/2"),
        pytest.param(control(1, b"short"), id="a frame too short"),
        pytest.param(control(1, bytes(10) + b"not zlib"), id="headers that are not compressed"),
        pytest.param(struct.pack(">HHI", 0x8003, 1, 2**20), id="a control frame of a megabyte"),
        pytest.param(SpdyClient().open(2), id="a stream with the server's number"),
        pytest.param(SpdyClient().open(1, a="x" * 2**20), id="a bomb of headers"),
    ],
)
def test_nonsense_is_refused(nonsense: bytes) -> None:
    with pytest.raises(SpdyError):
        receive(Spdy(), nonsense)


def test_a_number_is_not_used_twice() -> None:
    client, server = SpdyClient(), Spdy()
    receive(server, client.open(3))
    with pytest.raises(SpdyError, match="stream 3 after stream 3"):
        receive(server, client.open(3))


@given(st.binary(max_size=400), st.lists(st.integers(min_value=0), max_size=5))
def test_noise_never_breaks_anything_else(noise: bytes, cuts: list[int]) -> None:
    try:
        receive(Spdy(), noise, *cuts)
    except SpdyError:
        return
