"""What is gone is forgotten: Events after an hour, everything else at once."""

from datetime import UTC, datetime, timedelta

from lab_utils.controlplane.encoding import Encoder, Format
from lab_utils.controlplane.expiry import EventExpiry
from lab_utils.controlplane.kinds import BY_NAME
from lab_utils.controlplane.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def put(store, expiry, name, now):
    event = {"metadata": {"namespace": "ref", "name": name}}
    expiry.note(event, now)
    store.put("Event", event)


def names(store):
    return [event["metadata"]["name"] for event in store.list("Event")]


def test_what_is_deleted_before_its_time_is_not_remembered():
    """Or a day of notebooks would leave every Event of every deleted namespace in memory."""
    store = Store()
    expiry = EventExpiry(store)
    put(store, expiry, "e", NOW)
    store.remove("Event", "ref", "e")
    assert vars(expiry)["_written"] == {}
    put(store, expiry, "e", NOW + timedelta(hours=2))
    assert names(store) == ["e"]


def test_an_event_that_is_written_again_after_its_time_stays():
    store = Store()
    expiry = EventExpiry(store)
    put(store, expiry, "e", NOW)
    put(store, expiry, "e", NOW + timedelta(hours=2))
    assert names(store) == ["e"]


def test_of_a_deleted_object_no_encoding_is_kept_even_if_it_is_written_once_more():
    store = Store()
    encoder = Encoder(lambda: NOW, store)
    metadata = {"namespace": "ref", "name": "c", "uid": "u"}
    made = store.put("ConfigMap", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata})
    assert b'"uid":"u"' in encoder.one(BY_NAME["ConfigMap"], made, Format())
    gone = store.remove("ConfigMap", "ref", "c")
    assert b'"uid":"u"' in encoder.one(BY_NAME["ConfigMap"], gone, Format())
    assert vars(encoder)["_bodies"] == {}
