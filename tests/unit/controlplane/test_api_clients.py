"""The official client, unchanged, against the API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config, dynamic, watch

from tests.unit.controlplane.apiserver import ApiServer, pod

TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "image": "web:1"}]},
}


def deployment(name: str) -> dict:
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
    return head | {"spec": spec}


@pytest.fixture(scope="module")
def official(api: ApiServer) -> Iterator[client.ApiClient]:
    """Give the official client, configured as a learner would."""
    made = config.new_client_from_config(str(api.kubeconfig))
    yield made
    made.close()


def test_the_version_is_read_with_a_slash_at_the_end(official: client.ApiClient) -> None:
    assert client.VersionApi(official).get_code().git_version.startswith("v1.36")


def test_lists_of_every_kind_pass_the_models(official: client.ApiClient) -> None:
    core, apps = client.CoreV1Api(official), client.AppsV1Api(official)
    lists = (
        core.list_namespace, core.list_node, core.list_pod_for_all_namespaces,
        core.list_service_for_all_namespaces, core.list_event_for_all_namespaces,
        core.list_config_map_for_all_namespaces, core.list_secret_for_all_namespaces,
        core.list_service_account_for_all_namespaces, apps.list_deployment_for_all_namespaces,
        apps.list_replica_set_for_all_namespaces,
        client.CoordinationV1Api(official).list_lease_for_all_namespaces,
        client.DiscoveryV1Api(official).list_endpoint_slice_for_all_namespaces,
        client.NetworkingV1Api(official).list_network_policy_for_all_namespaces,
        client.PolicyV1Api(official).list_pod_disruption_budget_for_all_namespaces,
    )  # fmt: skip
    assert all(isinstance(one().items, list) for one in lists)


def test_a_deployment_through_its_whole_life(official: client.ApiClient) -> None:
    apps = client.AppsV1Api(official)
    apps.create_namespaced_deployment("ref", deployment("life"))
    apps.patch_namespaced_deployment_scale("life", "ref", {"spec": {"replicas": 3}})
    read = apps.read_namespaced_deployment("life", "ref")
    read.spec.template.spec.containers[0].image = "web:2"
    changed = apps.replace_namespaced_deployment("life", "ref", read)
    assert (changed.spec.replicas, changed.metadata.generation) == (3, 3)
    apps.delete_namespaced_deployment("life", "ref")
    with pytest.raises(client.ApiException) as gone:
        apps.read_namespaced_deployment("life", "ref")
    assert gone.value.status == 404


def test_a_list_in_chunks_shows_one_moment(api: ApiServer, official: client.ApiClient) -> None:
    core = client.CoreV1Api(official)
    for name in "abc":
        core.create_namespaced_config_map("default", {"metadata": {"name": name}})
    first = core.list_namespaced_config_map("default", limit=2)
    core.delete_namespaced_config_map("c", "default")
    core.create_namespaced_config_map("default", {"metadata": {"name": "d"}})
    rest = core.list_namespaced_config_map("default", limit=2, _continue=first.metadata._continue)
    assert first.metadata.remaining_item_count == 1
    assert [one.metadata.name for one in first.items + rest.items] == ["a", "b", "c"]
    assert rest.metadata.resource_version == first.metadata.resource_version


def test_a_collection_is_deleted_by_selector(official: client.ApiClient) -> None:
    core = client.CoreV1Api(official)
    for name, label in (("x", "1"), ("y", "2")):
        labels = {"metadata": {"name": name, "labels": {"n": label}}}
        core.create_namespaced_config_map("ref", labels)
    core.delete_collection_namespaced_config_map("ref", label_selector="n=1")
    assert [one.metadata.name for one in core.list_namespaced_config_map("ref").items] == ["y"]


def test_watch_gives_typed_objects(official: client.ApiClient) -> None:
    core = client.CoreV1Api(official)
    core.create_namespaced_pod("ref", pod("watched"))
    stream = watch.Watch().stream(
        core.list_namespaced_pod, "ref", field_selector="metadata.name=watched", timeout_seconds=1
    )
    seen = [(event["type"], event["object"].status.phase) for event in stream]
    assert seen == [("ADDED", "Pending")]


def test_the_dynamic_client_finds_kinds_and_applies(
    official: client.ApiClient, tmp_path: Path
) -> None:
    found = dynamic.DynamicClient(official, cache_file=str(tmp_path / "discovery.json"))
    kind = found.resources.get(api_version="apps/v1", kind="Deployment")
    for _ in range(2):
        applied = found.server_side_apply(
            kind, body=deployment("applied"), name="applied", namespace="ref", field_manager="lab"
        )
    assert applied.metadata.generation == 1
    assert [entry.manager for entry in applied.metadata.managedFields] == ["lab"]


def test_an_eviction_is_a_deletion_with_manners(official: client.ApiClient) -> None:
    core = client.CoreV1Api(official)
    core.create_namespaced_pod("ref", pod("evicted"))
    core.create_namespaced_pod_eviction("evicted", "ref", {"metadata": {"name": "evicted"}})
    names = [one.metadata.name for one in core.list_namespaced_pod("ref").items]
    assert "evicted" not in names


def test_warnings_come_as_headers(api: ApiServer, official: client.ApiClient) -> None:
    core = client.CoreV1Api(official)
    _, _, headers = core.list_namespaced_endpoints_with_http_info(
        "ref", _return_http_data_only=False
    )
    assert "deprecated" in headers["Warning"]
