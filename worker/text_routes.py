"""The routes of OpenAI's API, whole and streamed as server-sent events.

Never decides when a token is written: that is the engine.
"""

import time
from collections.abc import AsyncIterator

from fastapi import Request, Response

from worker import completions
from worker.completions import TextRequest, Writer
from worker.event_stream import EventStream
from worker.jobs import Job
from worker.protocol import ModelSpec
from worker.serving import Serving, respond, server_timing
from worker.wire import encode


class TextRoutes:
    """The handlers under /v1."""

    def __init__(self, model: ModelSpec, serving: Serving) -> None:
        self._model = model
        self._serving = serving
        self._created = int(time.time())

    async def models(self, _request: Request) -> Response:
        """List the models: there is one."""
        return respond(encode(completions.models(self._model.name, self._created)))

    async def model(self, request: Request) -> Response:
        """Describe the model."""
        return await self._serving.checked(request, self._describe)

    async def complete(self, request: Request) -> Response:
        """Continue a prompt: wait for a slot, read the prompt, write one token after another."""
        return await self._serving.answered(request, self._complete)

    async def chat(self, request: Request) -> Response:
        """Answer a chat: wait for a slot, read the messages, write one token after another."""
        return await self._serving.answered(request, self._chat)

    async def _describe(self, request: Request) -> Response:
        name = request.path_params["model"]
        if name != self._model.name:
            raise completions.unknown_model(name)
        return respond(encode(completions.describe(name, self._created)))

    async def _complete(self, request: Request) -> Response:
        return await self._write(request, chat=False)

    async def _chat(self, request: Request) -> Response:
        return await self._write(request, chat=True)

    async def _write(self, request: Request, *, chat: bool) -> Response:
        body = await self._serving.read(request)
        wanted = completions.decode(body, self._model.name, chat=chat)
        job = self._serving.submit(wanted.wishes, wanted.prompt_tokens, wanted.output_tokens)
        writer = Writer(wanted, self._model.name, self._model.version)
        if wanted.stream:
            return await self._stream(request, wanted, job, writer)
        times = await self._serving.watched(request, job, job.done())
        self._serving.served(job, times)
        written = writer.whole(self._serving.parameters(times, wanted.wishes.attempt))
        return respond(written, headers=server_timing(times))

    async def _stream(
        self, request: Request, wanted: TextRequest, job: Job, writer: Writer
    ) -> Response:
        """Begin a stream with its first token: whatever goes wrong before it has a status."""
        tokens = job.tokens()
        await self._serving.watched(request, job, anext(tokens))
        events = self._events(wanted, job, writer, tokens)
        queue_ms = (job.started_s - job.arrived_s) * 1000
        return EventStream(events, {"Server-Timing": f"queue;dur={queue_ms:.3f}"})

    async def _events(
        self, wanted: TextRequest, job: Job, writer: Writer, tokens: AsyncIterator[int]
    ) -> AsyncIterator[bytes]:
        try:
            yield writer.events(0)
            async for number in tokens:
                yield writer.events(number)
            times = await job.done()
            self._serving.served(job, times)
            yield writer.end(self._serving.parameters(times, wanted.wishes.attempt))
        finally:
            self._serving.give_up(job)  # its client went away
