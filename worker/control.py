"""The control port: configuration and faults, beside the port that serves.

Never on the serving port and off unless WORKER_CONTROL=1: who can reach it can stop the worker.
Where containers are processes of one machine, its other users are refused.
"""

import asyncio
import os
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException as AnyHTTPException

from worker.engine import Engine
from worker.faults import Fault, Faults
from worker.peers import is_another_user
from worker.settings import CHANGEABLE, InvalidSettings, Settings

_LAST_WORD_S = 0.05
"""From the order to crash to the crash: the answer is sent in between."""


class Control:
    """The handlers of one worker's control port."""

    def __init__(self, settings: Settings, engine: Engine, faults: Faults) -> None:
        self._settings, self._engine, self._faults = settings, engine, faults

    async def config(self) -> dict[str, Any]:
        """Give the whole configuration."""
        return self._settings.model_dump()

    async def change(self, patch: dict[str, Any]) -> dict[str, Any]:
        """Change some settings, all of them or none; give what changed, from what to what."""
        fixed = sorted(patch.keys() - CHANGEABLE)
        if fixed:
            raise HTTPException(
                400, f"{', '.join(fixed)}: cannot be changed; can: {', '.join(sorted(CHANGEABLE))}"
            )
        before = self._settings
        try:
            after = Settings.model_validate(before.model_dump() | patch)
            self._engine.configure(after)
        except ValidationError as exc:
            raise HTTPException(400, _mistakes(exc.errors())) from exc
        except InvalidSettings as exc:
            raise HTTPException(400, str(exc)) from exc
        self._settings = after
        pairs = {name: (getattr(before, name), getattr(after, name)) for name in sorted(patch)}
        return {name: {"from": old, "to": new} for name, (old, new) in pairs.items() if old != new}

    async def faults(self) -> dict[str, Any]:
        """List the faults that are on, with the requests that each has seen and hit."""
        return {
            str(number): {
                "fault": one.fault.model_dump(exclude_none=True),
                "seen": one.seen,
                "hit": one.hit,
            }
            for number, one in self._faults.list().items()
        }

    async def inject(self, fault: Fault) -> dict[str, int]:
        """Switch a fault on; its number undoes it. A crash without a rule comes at once."""
        if fault.kind == "crash" and fault.hits_all:
            asyncio.get_running_loop().call_later(_LAST_WORD_S, os._exit, fault.exit_code)
        return {"number": self._faults.inject(fault)}

    async def undo_all(self) -> dict[str, list[int]]:
        """Switch every fault off."""
        undone = self._faults.undo()
        self._engine.resume()
        return {"undone": undone}

    async def undo(self, number: int) -> dict[str, list[int]]:
        """Switch one fault off."""
        undone = self._faults.undo(number)
        if not undone:
            raise HTTPException(404, f"no fault {number} is on")
        self._engine.resume()
        return {"undone": undone}


def create_control(settings: Settings, engine: Engine, faults: Faults) -> FastAPI:
    """Make the application of the control port."""
    app = FastAPI(
        title="Inference worker: control",
        version=settings.version,
        description="Change how long things take, and break them.",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        dependencies=[Depends(_refuse_other_users)],
    )
    control = Control(settings, engine, faults)
    app.get("/config")(control.config)
    app.patch("/config", openapi_extra=_body({"service_ms": 20.0, "slots": 2}))(control.change)
    app.get("/faults")(control.faults)
    app.post("/faults", openapi_extra=_body({"kind": "fail", "next": 3}))(control.inject)
    app.delete("/faults")(control.undo_all)
    app.delete("/faults/{number}")(control.undo)
    app.add_exception_handler(AnyHTTPException, _error)
    app.add_exception_handler(RequestValidationError, _error)
    return app


async def _refuse_other_users(request: Request) -> None:
    peer = request.client
    if peer is not None and is_another_user(peer.host, peer.port):
        raise HTTPException(403, "this worker belongs to another user of this machine")


def _body(example: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"example": example}}}}


def _mistakes(errors: Any) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in error['loc']) or 'body'}: {error['msg']}"
        for error in errors
    )


async def _error(_request: Request, exc: Exception) -> JSONResponse:
    """Answer any error in the form of the serving port."""
    if isinstance(exc, RequestValidationError):
        return JSONResponse({"error": _mistakes(exc.errors())}, 400)
    if isinstance(exc, AnyHTTPException):
        return JSONResponse({"error": str(exc.detail)}, exc.status_code)
    raise exc
