"""What the server tells about itself and its model: metadata, index, configuration, statistics.

Bodies as Triton answers them. Never decides whether the model is ready.
https://github.com/triton-inference-server/server/tree/main/docs/protocol
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from worker.jobs import Times
from worker.protocol import ModelSpec
from worker.tensors import TensorSpec

SERVER = "k8s-inference-lab"
EXTENSIONS = [
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "statistics",
]


def server_metadata(version: str) -> dict[str, Any]:
    """Give the body of GET /v2."""
    return {"name": SERVER, "version": version, "extensions": EXTENSIONS}


def model_metadata(model: ModelSpec) -> dict[str, Any]:
    """Give the body of GET /v2/models/{name}."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "clock",
        "inputs": [_metadata(spec) for spec in model.inputs],
        "outputs": [_metadata(spec) for spec in model.outputs],
    }


def model_config(model: ModelSpec) -> dict[str, Any]:
    """Give the body of GET /v2/models/{name}/config."""
    return {
        "name": model.name,
        "platform": "",
        "backend": "clock",
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": 0,
        "input": [_config(spec) for spec in model.inputs],
        "output": [_config(spec) for spec in model.outputs],
    }


def index(model: ModelSpec, *, loaded: bool, only_ready: bool) -> list[dict[str, str]]:
    """Give the body of POST /v2/repository/index.

    Args:
        model: The one model there is.
        loaded: Whether it is loaded.
        only_ready: Whether only models that are loaded are asked for.
    """
    if only_ready and not loaded:
        return []
    state = "READY" if loaded else "LOADING"
    return [{"name": model.name, "version": model.version, "state": state, "reason": ""}]


def _metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _config(spec: TensorSpec) -> dict[str, Any]:
    datatype = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{datatype}", "dims": list(spec.shape)}


@dataclass(slots=True)
class _Duration:
    """How often something happened and how long it took in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds

    def told(self, divisor: int = 1) -> dict[str, int]:
        return {"count": self.count // divisor, "ns": round(self.seconds * 1e9 / divisor)}


@dataclass(slots=True)
class Statistics:
    """Sums over all requests since the start."""

    _success: _Duration = field(default_factory=_Duration)
    _fail: _Duration = field(default_factory=_Duration)
    _queue: _Duration = field(default_factory=_Duration)
    _service: _Duration = field(default_factory=_Duration)
    _batches: defaultdict[int, _Duration] = field(default_factory=lambda: defaultdict(_Duration))
    _last_ms: int = 0

    def succeeded(self, times: Times, total_s: float) -> None:
        """Add a request that was answered.

        Args:
            times: What its job took.
            total_s: Seconds from its arrival to its answer.
        """
        self._last_ms = round(time.time() * 1000)
        self._success.add(total_s)
        self._queue.add(times.queue_s)
        self._service.add(times.service_s)
        self._batches[times.batch_size].add(times.service_s)

    def failed(self, total_s: float) -> None:
        """Add a request that was refused or dropped after total_s seconds."""
        self._fail.add(total_s)

    def told(self, model: ModelSpec) -> dict[str, Any]:
        """Give the body of GET /v2/models/{name}/stats."""
        nothing = _Duration().told()
        # Every job of a batch reports the same time: a batch of four was added four times.
        batches = [
            {
                "batch_size": size,
                "compute_input": nothing,
                "compute_infer": served.told(size),
                "compute_output": nothing,
            }
            for size, served in sorted(self._batches.items())
        ]
        executions = sum(served.count // size for size, served in self._batches.items())
        stats = {
            "name": model.name,
            "version": model.version,
            "last_inference": self._last_ms,
            "inference_count": self._success.count,
            "execution_count": executions,
            "inference_stats": {
                "success": self._success.told(),
                "fail": self._fail.told(),
                "queue": self._queue.told(),
                "compute_input": nothing,
                "compute_infer": self._service.told(),
                "compute_output": nothing,
                "cache_hit": nothing,
                "cache_miss": nothing,
            },
            "batch_stats": batches,
        }
        return {"model_stats": [stats]}
