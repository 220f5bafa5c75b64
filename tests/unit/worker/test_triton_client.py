"""NVIDIA's own client against a running worker: it must not notice that there is no model."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.http import aio as asynchronous
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from tests.tools.workers import BODY, INFER, Worker, running

INTEGERS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
BINARY_ONLY = ["FP16", "BF16"]
DATATYPES = ["BOOL", *INTEGERS, "FP32", "FP64", "BYTES", *BINARY_ONLY]
SHAPE = [2, 3]


def values(datatype: str) -> np.ndarray:
    """Give six values, the extremes of integers among them."""
    kind = triton_to_np_dtype(datatype)
    if datatype == "BYTES":
        return np.array([b"", b"a", "ä".encode(), b"queue", b"\n", b"\x00"], object).reshape(SHAPE)
    if datatype == "BOOL":
        return np.array([True, False, False, True, True, False]).reshape(SHAPE)
    if datatype in INTEGERS:
        limits = np.iinfo(kind)
        return np.array([limits.min, limits.max, 0, 1, 2, 3], kind).reshape(SHAPE)
    return np.array([-1.5, 0.0, 0.1, 2.0, 1e4, -1e-3]).astype(kind).reshape(SHAPE)


def tensor(name: str, array: np.ndarray, datatype: str, *, binary: bool = True):
    made = triton.InferInput(name, list(array.shape), datatype)
    return made.set_data_from_numpy(array, binary_data=binary)


def vector(*numbers: float, binary: bool = True):
    return tensor("input", np.array(numbers, np.float32), "FP32", binary=binary)


@pytest.fixture
def client(worker: Worker) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{worker.port}") as connected:
        yield connected


@pytest.fixture(scope="module")
def every_datatype() -> Iterator[triton.InferenceServerClient]:
    """Give a client of a model with one input of each datatype."""
    inputs = " ".join(f"input_{datatype}:{datatype}:-1x3" for datatype in DATATYPES)
    with (
        running(WORKER_SERVICE_MS=0, WORKER_INPUTS=inputs) as worker,
        triton.InferenceServerClient(f"127.0.0.1:{worker.port}") as connected,
    ):
        yield connected


@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "JSON in"])
@pytest.mark.parametrize("binary_out", [True, False], ids=["binary out", "JSON out"])
def test_every_datatype_comes_back_as_it_went(every_datatype, binary_in, binary_out):
    arrays = {datatype: values(datatype) for datatype in DATATYPES}
    answer = every_datatype.infer(
        "clock",
        [
            tensor(f"input_{name}", array, name, binary=binary_in or name in BINARY_ONLY)
            for name, array in arrays.items()
        ],
        outputs=[
            triton.InferRequestedOutput(f"output_{name}", binary_out or name in BINARY_ONLY)
            for name in arrays
        ],
    )
    for name, array in arrays.items():
        got = answer.as_numpy(f"output_{name}")
        wanted = (
            array if name != "BYTES" or binary_out else np.vectorize(bytes.decode, [object])(array)
        )
        assert got.dtype == triton_to_np_dtype(name)
        np.testing.assert_array_equal(got, wanted)


def test_outputs_are_binary_unless_named(client):
    answer = client.infer("clock", [vector(1.0, float("nan"))], request_id="7")
    assert answer.get_response()["id"] == "7"
    np.testing.assert_array_equal(answer.as_numpy("output"), [1.0, np.nan])


def test_an_empty_tensor_is_a_tensor(client):
    assert client.infer("clock", [vector()]).as_numpy("output").shape == (0,)


def test_any_order_of_inputs_and_any_choice_of_outputs(start):
    worker = start(WORKER_SERVICE_MS=0, WORKER_INPUTS="INPUT0:INT32:16 mask:BOOL:-1")
    numbers, mask = np.arange(16, dtype=np.int32), np.array([True, False])
    inputs = [tensor("mask", mask, "BOOL"), tensor("INPUT0", numbers, "INT32", binary=False)]
    with triton.InferenceServerClient(f"127.0.0.1:{worker.port}") as client:
        wanted = [triton.InferRequestedOutput("output_mask", binary_data=False)]
        some = client.infer("clock", inputs, outputs=wanted)
        assert some.as_numpy("OUTPUT0") is None
        assert some.as_numpy("output_mask").tolist() == [True, False]
        assert client.infer("clock", inputs).as_numpy("OUTPUT0").tolist() == list(range(16))


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_a_compressed_request_is_unpacked(client, algorithm):
    answer = client.infer(
        "clock",
        [vector(1.0, 2.0)],
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    assert answer.as_numpy("output").tolist() == [1.0, 2.0]


def test_parameters_reach_the_clock_and_come_back(client):
    answer = client.infer("clock", [vector(1.0)], parameters={"service_ms": 5, "attempt": 2})
    told = answer.get_response()["parameters"]
    assert (told["service_s"], told["attempt"], told["pod"]) == (0.005, 2, "worker-1")


def test_asynchronous_requests_are_answered(client):
    waiting = [client.async_infer("clock", [vector(float(n))]) for n in range(4)]
    assert [one.get_result().as_numpy("output")[0] for one in waiting] == [0, 1, 2, 3]


@pytest.mark.parametrize("version", ["", "1"])
def test_health_metadata_and_configuration(client, version):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("clock", version)
    metadata = client.get_model_metadata("clock", version)
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1]}]
    config = client.get_model_config("clock", version)
    assert config["input"] == [{"name": "input", "data_type": "TYPE_FP32", "dims": [-1]}]
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]


def test_a_version_may_be_named(client):
    answer = client.infer("clock", [vector(1.0)], model_version="1")
    assert answer.get_response()["model_version"] == "1"


def test_the_repository_lists_the_model(client):
    wanted = [{"name": "clock", "version": "1", "state": "READY", "reason": ""}]
    assert client.get_model_repository_index() == wanted


@pytest.mark.parametrize("model", ["", "clock"])
def test_statistics_count_what_was_served(client, model):
    def told():
        return client.get_inference_statistics(model)["model_stats"][0]

    before = told()
    client.infer("clock", [vector(1.0)], parameters={"service_ms": 20})
    after = told()
    assert after["inference_count"] == before["inference_count"] + 1
    assert after["execution_count"] == before["execution_count"] + 1
    served = [stat["inference_stats"]["compute_infer"]["ns"] for stat in (before, after)]
    assert served[1] - served[0] == pytest.approx(20e6, rel=0.01)
    assert after["last_inference"] > 0


def refusal(call, *args, **kwargs) -> tuple[str, str]:
    with pytest.raises(InferenceServerException) as refused:
        call(*args, **kwargs)
    return refused.value.status(), refused.value.message()


@pytest.mark.parametrize(
    ("inputs", "status", "says"),
    [
        ([], "400", "model 'clock' wants FP32 'input'; got []"),
        ([vector(1.0), vector(1.0)], "400", "inputs.1: 'input' is given twice"),
        ([tensor("image", np.zeros(1, np.float32), "FP32")], "400", "wanted 'input'"),
        ([tensor("input", np.zeros(1, np.int8), "INT8")], "400", "'input' wants FP32"),
        ([tensor("input", np.zeros((1, 1), np.float32), "FP32")], "400", "'input' wants [-1]"),
        ([tensor("input", np.zeros(70_000, np.float32), "FP32")], "413", "at most 262144 bytes"),
        ([vector(float("nan"), binary=False)], "400", "NaN is not a number in JSON"),
    ],
    ids=["no input", "twice", "name", "datatype", "shape", "too long", "NaN in JSON"],
)
def test_what_does_not_fit_the_model_is_refused_with_what_was_wanted(client, inputs, status, says):
    code, message = refusal(client.infer, "clock", inputs)
    assert code == status
    assert says in message


def test_what_is_not_here_is_refused(client):
    for refused in (
        refusal(client.infer, "bert", [vector(1.0)]),
        refusal(client.infer, "clock", [vector(1.0)], model_version="2"),
        refusal(client.get_model_metadata, "bert"),
        refusal(client.get_inference_statistics, "bert"),
        refusal(client.get_trace_settings),
        refusal(client.get_system_shared_memory_status),
    ):
        assert refused[0] == "404"
        assert "/docs lists what is here" in refused[1]
    assert not client.is_model_ready("bert")
    assert not client.is_model_ready("clock", "2")
    assert refusal(client.load_model, "clock")[0] == "400"
    assert refusal(client.unload_model, "clock")[0] == "400"


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (triton.InferRequestedOutput("logits"), "outputs.0.name: wanted 'output'"),
        (triton.InferRequestedOutput("output", class_count=1), "classification"),
        (triton.InferRequestedOutput("output", binary_data=False), "JSON has no NaN"),
    ],
    ids=["name", "classification", "NaN in JSON"],
)
def test_an_output_that_cannot_be_given_is_refused_before_service(client, output, says):
    answered = client.get_inference_statistics()["model_stats"][0]["inference_count"]
    _, message = refusal(client.infer, "clock", [vector(float("nan"))], outputs=[output])
    assert says in message
    assert client.get_inference_statistics()["model_stats"][0]["inference_count"] == answered


def test_a_full_queue_and_a_model_that_loads_are_said_to_the_client(start):
    loading = start(WORKER_LOAD_S=600)
    with triton.InferenceServerClient(f"127.0.0.1:{loading.port}") as client:
        assert client.is_server_live()
        assert not client.is_server_ready()
        assert client.get_model_repository_index()[0]["state"] == "LOADING"
        assert refusal(client.infer, "clock", [vector(1.0)]) == ("503", "The model is loading.")
    busy = start(WORKER_SERVICE_MS=600_000, WORKER_QUEUE=0)
    with triton.InferenceServerClient(f"127.0.0.1:{busy.port}") as client:
        busy.send("POST", INFER, BODY)
        busy.wait_until(lambda: busy.metric("lab_requests_in_flight") == 1)
        status, message = refusal(client.infer, "clock", [vector(1.0)])
        assert status == "503"
        assert "queue is full" in message
        [told] = client.get_inference_statistics()["model_stats"]
        assert told["inference_stats"]["fail"]["count"] == 1


async def test_the_asynchronous_client_sends_many_at_a_time(start):
    worker = start(WORKER_SERVICE_MS=5, WORKER_SLOTS=4)
    async with asynchronous.InferenceServerClient(f"127.0.0.1:{worker.port}") as client:
        answers = await asyncio.gather(
            *(client.infer("clock", [vector(float(n))], request_id=str(n)) for n in range(20))
        )
    told = [answer.get_response() for answer in answers]
    assert [one["id"] for one in told] == [str(n) for n in range(20)]
    assert [answer.as_numpy("output")[0] for answer in answers] == list(range(20))
    assert max(one["parameters"]["queue_s"] for one in told) > 0
