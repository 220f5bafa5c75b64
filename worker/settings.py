"""What the environment tells a worker, read and checked once at start.

Hides names, types and bounds of the variables. Never reads a file, never guesses: a value that
cannot be used ends the process with one sentence.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasGenerator, BaseModel, ConfigDict, Field, ValidationError

from worker.tensors import parse_specs

MAX_SERVICE_MS = 600_000.0
"""Longest service time accepted, ten minutes: longer is a typing error in a unit."""

ServiceMs = Annotated[float, Field(ge=0, le=MAX_SERVICE_MS, allow_inf_nan=False)]


Factor = Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)]

MAX_SLOTS = 1024
"""Most batches in service at the same time."""


def _check_inputs(text: str) -> str:
    parse_specs(text)
    return text


class InvalidSettings(ValueError):
    """A variable of the environment cannot be used; the message names it."""


class Settings(BaseModel):
    """Settings of one worker: `WORKER_<FIELD>`, and what the downward API says about the pod."""

    model_config = ConfigDict(
        frozen=True,
        populate_by_name=True,
        alias_generator=AliasGenerator(validation_alias=lambda field: f"WORKER_{field.upper()}"),
    )

    port: int = Field(default=8000, ge=0, le=65535)
    host: str = "127.0.0.1"
    model: str = Field(default="clock", pattern=r"^[A-Za-z0-9._-]+$")
    version: str = Field(default="1", pattern=r"^[A-Za-z0-9._-]+$")
    inputs: Annotated[str, AfterValidator(_check_inputs)] = "input:FP32:-1"
    mode: Literal["sleep", "burn"] = "sleep"
    service_ms: ServiceMs = 100.0
    distribution: Literal["const", "exponential", "lognormal", "bimodal", "trace"] = "const"
    cv: float = Field(default=1.0, ge=0, le=100, allow_inf_nan=False)
    slow_share: float = Field(default=0.1, ge=0, le=1, allow_inf_nan=False)
    slow_factor: Factor = 10.0
    trace: str = ""
    seed: int = 0
    slots: int = Field(default=1, ge=1, le=MAX_SLOTS)
    queue: int = Field(default=64, ge=0, le=100_000)
    discipline: Literal["fifo", "lifo"] = "fifo"
    deadline_ms: ServiceMs = 0.0
    batch_max: int = Field(default=1, ge=1, le=1024)
    batch_wait_ms: ServiceMs = 0.0
    batch_base_ms: ServiceMs = 0.0
    load_factor: Factor = 1.0
    load_s: float = Field(default=0.0, ge=0, le=3600, allow_inf_nan=False)
    warmup: int = Field(default=0, ge=0, le=100_000)
    warmup_factor: Factor = 1.0
    cold_after_s: float = Field(default=0.0, ge=0, le=86_400, allow_inf_nan=False)
    prefill_ms: ServiceMs = 50.0
    prompt_token_ms: ServiceMs = 0.2
    token_ms: ServiceMs = 20.0
    notice_gone: bool = True
    on_sigterm: Literal["drain", "wait", "exit"] = "drain"
    access_log: bool = False
    control: bool = False
    control_port: int = Field(default=8001, ge=0, le=65535)

    pod_ip: str = Field(default="", validation_alias="POD_IP")
    pod_name: str = Field(default="", validation_alias="POD_NAME")
    node_name: str = Field(default="", validation_alias="NODE_NAME")
    role: str = Field(default="", validation_alias="ROLE")
    cgroup_root: str = Field(default="/sys/fs/cgroup", validation_alias="CGROUP_ROOT")

    @property
    def address(self) -> str:
        """The address to listen on: the pod's own if there is one.

        The pods of an embedded cluster share this machine's network, each with an address of its
        own, so `0.0.0.0` would take the port from all the others.
        """
        return self.pod_ip or self.host

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings from environment variables; others than ours are ignored.

        Args:
            environ: Names and values, such as os.environ.

        Returns:
            The settings, with defaults for what is not set.

        Raises:
            InvalidSettings: A value cannot be used; the message names each such variable.
        """
        try:
            return cls.model_validate(dict(environ))
        except ValidationError as exc:
            wrong = "; ".join(
                f"{error['loc'][0]}={error['input']!r}: {error['msg']}" for error in exc.errors()
            )
            raise InvalidSettings(f"Cannot start with {wrong}.") from exc


_WHERE = {"port", "host", "control", "control_port", "access_log", "pod_ip", "cgroup_root"}
_WHO = {"model", "version", "pod_name", "node_name", "role"}
_ONCE = {"mode", "trace", "load_s", "inputs", "notice_gone", "on_sigterm"}
CHANGEABLE = Settings.model_fields.keys() - _WHERE - _WHO - _ONCE
"""Settings that the control port may change while the worker runs."""
