"""Who the API server lets in, and bodies that are meant to hurt."""

import json
import socket
import ssl

import pytest

from tests.unit.controlplane.apiserver import ApiServer, Client

CONFIG_MAPS = "/api/v1/namespaces/ref/configmaps"
PATHS = ("/", "/api", "/apis", "/version", "/openapi/v3", "/metrics", CONFIG_MAPS, "/lab/nodes")


@pytest.mark.fault(35)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic YTpi", "Bearer", "Token x"])
def test_nothing_is_answered_without_a_token(http: Client, path: str, authorization: str) -> None:
    answer = http.get(path, headers={"Authorization": authorization})
    assert answer.status == 401
    assert answer.json()["reason"] == "Unauthorized"


@pytest.mark.fault(35)
def test_a_token_in_the_url_is_no_token(http: Client) -> None:
    answer = http.get(f"{CONFIG_MAPS}?access_token=admin-token", headers={"Authorization": ""})
    assert answer.status == 401


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_health_is_public(http: Client, path: str) -> None:
    answer = http.get(path, headers={"Authorization": ""})
    assert (answer.status, answer.body) == (200, b"ok")


@pytest.mark.fault(36)
@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:80", "localhost.evil.example", ""])
def test_a_foreign_host_name_is_refused(http: Client, host: str) -> None:
    assert http.get(CONFIG_MAPS, headers={"Host": host}).status == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:443"])
def test_local_host_names_are_fine(http: Client, host: str) -> None:
    assert http.get(CONFIG_MAPS, headers={"Host": host}).status == 200


@pytest.mark.fault(36)
def test_a_web_page_is_refused_whatever_it_sends(http: Client) -> None:
    origin = {"Origin": "https://127.0.0.1"}
    preflight = http.request("OPTIONS", CONFIG_MAPS, headers=origin)
    upgrade = origin | {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert preflight.status == 403
    assert http.get(CONFIG_MAPS, headers=upgrade).status == 403
    assert not any(name.lower().startswith("access-control") for name in preflight.headers)


@pytest.mark.fault(36)
def test_a_form_cannot_create(http: Client) -> None:
    body = json.dumps({"metadata": {"name": "x"}})
    assert http.request("POST", CONFIG_MAPS, body, content_type="text/plain").status == 415


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (BOMB, "application/yaml"),
        ("a: &a [*a]", "application/yaml"),
        ("[" * 100_000, "application/yaml"),
        ("- " * 100_000, "application/yaml"),
        ("[" * 100_000, "application/json"),
        ('{"a":' * 5_000 + "1" + "}" * 5_000, "application/json"),
        ('{"a": NaN}', "application/json"),
        (b"\xff\xfe\x00", "application/json"),
        ('{"a": ' + "9" * 5_000 + "}", "application/json"),
    ],
    ids=["aliases", "self-reference", "deep flow", "deep blocks", "deep list", "deep object",
         "NaN", "no UTF-8", "digits"],
)  # fmt: skip
def test_a_hostile_body_is_refused_and_the_server_lives(
    http: Client, body: str | bytes, content_type: str
) -> None:
    assert http.request("POST", CONFIG_MAPS, body, content_type=content_type).status == 400
    assert http.get("/livez").status == 200


@pytest.mark.parametrize("fields", [["a\r\nX-Injected: yes"], [f"f{n}" for n in range(50_000)]],
                         ids=["line break", "many"])  # fmt: skip
def test_strange_field_names_do_not_spoil_the_headers(http: Client, fields: list[str]) -> None:
    pairs = ",".join(f"{json.dumps(name)}:1,{json.dumps(name)}:1" for name in fields)
    answer = http.post(f"{CONFIG_MAPS}?dryRun=All", f'{{"metadata":{{"name":"x"}},{pairs}}}')
    assert answer.status == 201
    assert answer.headers["X-Injected"] is None
    assert len(answer.warnings) < 100


@pytest.mark.fault(30)
@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%2fb", "x" * 5000, "%00", "%E2%82%AC"])
def test_a_strange_name_is_just_not_found(http: Client, name: str) -> None:
    assert http.get(f"{CONFIG_MAPS}/{name}").status == 404


def test_a_client_that_never_finishes_its_request_holds_nobody_up(api: ApiServer) -> None:
    context = ssl.create_default_context(cafile=str(api.ca))
    with (
        socket.create_connection(("127.0.0.1", api.port)) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as slow,
    ):
        slow.sendall(b"GET /api HTTP/1.1\r\nHost: 127")
        assert Client(api).get("/livez").status == 200
