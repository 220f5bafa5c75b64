"""The routes of the Open Inference Protocol and of Triton's extensions to it.

Never decides how long anything takes: that is the engine.
"""

from fastapi import Request, Response

from worker import protocol, repository
from worker.lifecycle import Lifecycle
from worker.protocol import ModelSpec
from worker.serving import Serving, respond, server_timing
from worker.wire import BadRequest, encode, parse, take

_JSON_LENGTH = "Inference-Header-Content-Length"


class InferRoutes:
    """The handlers under /v2."""

    def __init__(self, model: ModelSpec, serving: Serving, lifecycle: Lifecycle) -> None:
        self._model = model
        self._serving = serving
        self._lifecycle = lifecycle

    async def live(self, _request: Request) -> Response:
        """Tell that the process answers. True from the start, before the model is loaded."""
        return respond(encode({"live": True}))

    async def ready(self, _request: Request) -> Response:
        """Tell whether to send requests here: the model is loaded and the end is not near."""
        ready = self._lifecycle.ready
        return respond(encode({"ready": ready}), 200 if ready else 503)

    async def server(self, _request: Request) -> Response:
        """Name the server and what it can do beyond the protocol."""
        return respond(encode(repository.server_metadata(self._model.version)))

    async def model(self, _request: Request) -> Response:
        """Name the model's inputs and outputs."""
        return respond(encode(repository.model_metadata(self._model)))

    async def config(self, _request: Request) -> Response:
        """Give the model's configuration, as Triton would."""
        return respond(encode(repository.model_config(self._model)))

    async def stats(self, _request: Request) -> Response:
        """Give sums of counts and times over all requests since the start."""
        return respond(encode(self._serving.statistics.told(self._model)))

    async def index(self, request: Request) -> Response:
        """List the models of the repository: there is one."""
        return await self._serving.checked(request, self._index)

    async def infer(self, request: Request) -> Response:
        """Wait for a slot, take the service time, answer with the inputs."""
        return await self._serving.answered(request, self._infer)

    async def _infer(self, request: Request) -> Response:
        body = await self._serving.read(request)
        wanted = protocol.decode(body, self._model, request.headers.get(_JSON_LENGTH))
        job = self._serving.submit(wanted.wishes)
        times = await self._serving.watched(request, job, job.done())
        self._serving.served(job, times)
        parameters = self._serving.parameters(times, wanted.wishes.attempt)
        written, json_length = protocol.answer(wanted, self._model, parameters)
        headers = server_timing(times)
        if json_length is None:
            return respond(written, headers=headers)
        headers[_JSON_LENGTH] = str(json_length)
        return respond(written, headers=headers, media_type="application/octet-stream")

    async def _index(self, request: Request) -> Response:
        body = await self._serving.read(request)
        only_ready = take(parse(body), "ready", bool) if body else False
        loaded = self._lifecycle.loaded
        found = repository.index(self._model, loaded=loaded, only_ready=bool(only_ready))
        return respond(encode(found))

    async def load(self, request: Request) -> Response:
        """Refuse to load or unload: a worker has its model from its start to its end."""
        return await self._serving.checked(request, self._load)

    async def _load(self, request: Request) -> Response:
        raise BadRequest("A worker's model cannot be loaded or unloaded: restart the worker.")
