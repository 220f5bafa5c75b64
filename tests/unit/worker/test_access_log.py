import json

from tests.tools.workers import BODY, INFER


def lines(capfd) -> list[dict[str, object]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_a_request_is_one_line_of_json(start, capfd):
    worker = start(WORKER_SERVICE_MS=20, WORKER_ACCESS_LOG=1)
    worker.ask("POST", INFER, BODY)
    logged: list[dict[str, object]] = []  # after the answer was sent, so perhaps not yet
    worker.wait_until(lambda: logged.extend(lines(capfd)) or bool(logged))
    (line,) = logged
    assert (line["method"], line["path"], line["status"]) == ("POST", INFER, 200)
    assert line["duration_s"] >= 0.02
    assert line["bytes"] > 0
    assert line["client"] == "127.0.0.1"


def test_nothing_is_logged_unless_asked_for(start, capfd):
    worker = start()
    worker.get("/v2/health/live")
    assert lines(capfd) == []
