from pathlib import Path

import pytest

import worker
from worker.settings import CHANGEABLE, InvalidSettings, Settings


def test_without_variables_the_worker_is_a_clock_of_100_ms_on_loopback():
    settings = Settings.from_env({})
    assert (settings.service_ms, settings.slots, settings.queue) == (100.0, 1, 64)
    assert (settings.address, settings.port) == ("127.0.0.1", 8000)


def test_variables_of_others_are_ignored():
    assert Settings.from_env({"PATH": "/bin", "KUBERNETES_PORT": "tcp://x"}) == Settings()


def test_the_pods_own_address_comes_before_the_images():
    environ = {"POD_IP": "127.9.2.2", "WORKER_HOST": "0.0.0.0"}
    assert Settings.from_env(environ).address == "127.9.2.2"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WORKER_PORT", "tcp://10.96.0.1:80"),
        ("WORKER_SERVICE_MS", "-1"),
        ("WORKER_SERVICE_MS", "nan"),
        ("WORKER_SERVICE_MS", "1e9"),
        ("WORKER_DISTRIBUTION", "normal"),
        ("WORKER_MODE", "dream"),
        ("WORKER_CV", "inf"),
        ("WORKER_SLOTS", "0"),
        ("WORKER_QUEUE", "many"),
        ("WORKER_MODEL", "../x"),
        ("WORKER_LOAD_S", ""),
    ],
)
def test_a_value_that_cannot_be_used_is_named(variable, value):
    with pytest.raises(InvalidSettings, match=f"Cannot start with {variable}="):
        Settings.from_env({variable: value})


def test_every_mistake_is_named_at_once():
    with pytest.raises(InvalidSettings, match=r"WORKER_SLOTS=.*WORKER_QUEUE="):
        Settings.from_env({"WORKER_SLOTS": "0", "WORKER_QUEUE": "-1"})


def test_every_variable_is_in_the_readme():
    text = (Path(worker.__file__).parent / "README.md").read_text()
    variables = [field.validation_alias for field in Settings.model_fields.values()]
    assert [name for name in variables if f"`{name}`" not in text] == []
    assert "WORKER_COLD_AFTER_S" in variables


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WORKER_DISCIPLINE", "random"),
        ("WORKER_DEADLINE_MS", "-1"),
        ("WORKER_BATCH_MAX", "0"),
        ("WORKER_LOAD_FACTOR", "0.5"),
        ("WORKER_SLOW_SHARE", "2"),
        ("WORKER_CONTROL", "perhaps"),
        ("WORKER_CONTROL_PORT", "70000"),
    ],
)
def test_a_value_that_makes_no_sense_for_the_clock_is_named_too(variable, value):
    with pytest.raises(InvalidSettings, match=f"Cannot start with {variable}="):
        Settings.from_env({variable: value})


def test_the_control_port_changes_what_the_clock_does_and_not_where_it_is():
    assert {"service_ms", "slots", "deadline_ms", "batch_max", "token_ms"} <= CHANGEABLE
    assert not {"port", "pod_ip", "model", "inputs", "mode", "trace", "control"} & CHANGEABLE
