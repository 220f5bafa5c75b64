"""SPDY/3.1, the server's side: frames in and out, no input or output of its own.

What `kubectl port-forward` speaks inside its WebSocket: many streams on one connection. A frame
of data is given on in the pieces in which it arrives, so that none is ever held whole. There are
no windows: moby/spdystream, which is at the other end, neither opens nor heeds them, so the
connection itself is what holds a fast sender back.
Source: https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3/ (2.2 framing, 2.6.10 name
and value blocks).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
_FIN = 1
_CONTROL_BIT = 1 << 31
_STREAM_BITS = _CONTROL_BIT - 1
_LARGEST_CONTROL = _LARGEST_BLOCK = 64 * 1024
_LARGEST_DATA = 2**24 - 1
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL, INTERNAL_ERROR = 1, 2, 3, 5, 6

_WORDS = """
options head post put delete trace accept accept-charset accept-encoding accept-language
accept-ranges age allow authorization cache-control connection content-base content-encoding
content-language content-length content-location content-md5 content-range content-type date etag
expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since
last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer
retry-after server te trailer transfer-encoding upgrade user-agent vary via warning
www-authenticate method get status 200|OK version HTTP/1.1 url public set-cookie keep-alive origin
"""
_PHRASES = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 "
    "Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
    "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _sized(text: str) -> bytes:
    return struct.pack(">I", len(text)) + text.encode()


DICTIONARY = b"".join(_sized(word.replace("|", " ")) for word in _WORDS.split()) + _PHRASES.encode()
"""What both compressors of headers know from the start, word for word as in the specification."""


class SpdyError(Exception):
    """The other side does not keep to the protocol; nothing more can be read."""


@dataclass(frozen=True)
class Opened:
    """The client has opened a stream; header names are in lower case."""

    stream: int
    headers: dict[str, str]
    is_last: bool
    """The client has nothing to say on it."""


@dataclass(frozen=True)
class Data:
    """A piece of what the client says on a stream."""

    stream: int
    payload: bytes
    is_last: bool


@dataclass(frozen=True)
class Reset:
    """The client gives a stream up, in both directions."""

    stream: int


@dataclass(frozen=True)
class Ping:
    """The client wants the same number back."""

    number: int


@dataclass(frozen=True)
class GoAway:
    """The client opens no more streams."""


Event = Opened | Data | Reset | Ping | GoAway


class Spdy:
    """One connection's state: what was read of the next frame, and both header compressors."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._data: tuple[int, int, bool] | None = None
        """Stream, bytes to come and is_last of the frame of data being read."""
        self._newest = 0

    def receive(self, data: bytes) -> Iterator[Event]:
        """Take bytes and give what they say; PING is the caller's to answer.

        Raises:
            SpdyError: They are not SPDY/3.
        """
        self._buffer += data
        while True:
            if self._data is None and not self._read_head():
                event = self._control()
                if event is None:
                    return
                yield from event
            elif (piece := self._piece()) is not None:
                yield piece
            else:
                return

    def _read_head(self) -> bool:
        """Begin with a frame of data, if that is what comes next."""
        if len(self._buffer) < 8 or self._buffer[0] & 0x80:
            return False
        stream, sizes = struct.unpack_from(">II", self._buffer)
        del self._buffer[:8]
        self._data = stream, sizes & _LARGEST_DATA, bool(sizes >> 24 & _FIN)
        return True

    def _piece(self) -> Data | None:
        """Give as much of a frame of data as is there; None when that is nothing."""
        stream, left, is_last = self._data or (0, 0, False)
        payload = bytes(self._buffer[:left])
        if left and not payload:
            return None
        del self._buffer[: len(payload)]
        left -= len(payload)
        self._data = (stream, left, is_last) if left else None
        return Data(stream, payload, is_last and not left)

    def _control(self) -> list[Event] | None:
        """Give what a control frame says, which may be nothing of interest; None: not all here."""
        if len(self._buffer) < 8:
            return None
        version, kind, sizes = struct.unpack_from(">HHI", self._buffer)
        flags, size = sizes >> 24, sizes & _LARGEST_DATA
        if version & 0x7FFF != _VERSION or size > _LARGEST_CONTROL:
            raise SpdyError(f"control frame of version {version & 0x7FFF} and {size} bytes")
        if len(self._buffer) < 8 + size:
            return None
        body = bytes(self._buffer[8 : 8 + size])
        del self._buffer[: 8 + size]
        try:
            return list(self._said(kind, flags, body))
        except (struct.error, zlib.error, UnicodeDecodeError) as exc:
            raise SpdyError(f"control frame of type {kind}: {exc}") from exc

    def _said(self, kind: int, flags: int, body: bytes) -> Iterator[Event]:
        if kind == _SYN_STREAM:
            stream = _number(body) & _STREAM_BITS
            headers = self._headers(body[10:])
            if stream % 2 == 0 or stream <= self._newest:
                raise SpdyError(f"stream {stream} after stream {self._newest}")
            self._newest = stream
            yield Opened(stream, headers, bool(flags & _FIN))
        elif kind in (_SYN_REPLY, _HEADERS):
            self._headers(body[4:])  # the compressor remembers them, whoever wants them
        elif kind == _RST_STREAM:
            yield Reset(_number(body) & _STREAM_BITS)
        elif kind == _PING:
            yield Ping(_number(body))
        elif kind == _GOAWAY:
            yield GoAway()

    def _headers(self, block: bytes) -> dict[str, str]:
        text = self._inflate.decompress(block, _LARGEST_BLOCK)
        if self._inflate.unconsumed_tail:
            raise SpdyError(f"headers of more than {_LARGEST_BLOCK} bytes")
        count, at, found = _number(text), 4, list[str]()
        for _ in range(2 * count):
            size = _number(text, at)
            found.append(text[at + 4 : at + 4 + size].decode())
            at += 4 + size
        return dict(list(pairwise(found))[::2])

    def reply(self, stream: int) -> bytes:
        """Accept a stream: before it, nothing else may be said on it."""
        none = self._deflate.compress(struct.pack(">I", 0))
        none += self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _frame(_SYN_REPLY, struct.pack(">I", stream) + none)


def data(stream: int, payload: bytes = b"", *, is_last: bool = False) -> bytes:
    """Say something on a stream, at most 16 MiB at once."""
    return struct.pack(">II", stream, is_last << 24 | len(payload)) + payload


def reset(stream: int, why: int) -> bytes:
    """Give a stream up."""
    return _frame(_RST_STREAM, struct.pack(">II", stream, why))


def ping(number: int) -> bytes:
    """Answer a ping."""
    return _frame(_PING, struct.pack(">I", number))


def _frame(kind: int, body: bytes) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, kind, len(body)) + body


def _number(body: bytes, at: int = 0) -> int:
    return int(struct.unpack_from(">I", body, at)[0])
