"""Servers that answer as they like, well or badly, for tests of the load generator."""

import asyncio
import json
import socket
import struct
import threading
from contextlib import contextmanager

ANSWER = {"parameters": {"pod": "p-1", "node": "n-1", "role": "primary", "queue_s": 0.001}}


def http(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


GOOD = http(200, json.dumps(ANSWER).encode())


@contextmanager
def serving(answer):
    """Serve on a free port: answer(writer) is awaited for each request of each connection."""
    started, ended, ports, loops = threading.Event(), asyncio.Event(), [], []

    async def handle(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
                await reader.readexactly(length)
                await answer(writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            writer.close()

    async def main():
        loops.append(asyncio.get_running_loop())
        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=1000)
        ports.append(server.sockets[0].getsockname()[1])
        started.set()
        await ended.wait()
        server.close()
        handling = asyncio.all_tasks() - {asyncio.current_task()}
        for task in handling:
            task.cancel()
        await asyncio.gather(*handling)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    started.wait(5)
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        loops[0].call_soon_threadsafe(ended.set)
        thread.join(5)


def writes(data: bytes):
    async def answer(writer):
        writer.write(data)
        await writer.drain()

    return answer


def closes(data: bytes):
    async def answer(writer):
        writer.write(data)
        writer.close()
        await writer.wait_closed()
        raise OSError

    return answer


def half_closes(data: bytes):
    async def answer(writer):
        writer.write(data)
        writer.write_eof()

    return answer


def drips(data: bytes, pause_s: float = 0.1):
    async def answer(writer):
        for byte in data:
            writer.write(bytes([byte]))
            await asyncio.sleep(pause_s)

    return answer


async def resets(writer):
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    raise OSError


async def stalls(writer):
    await asyncio.sleep(3600)
