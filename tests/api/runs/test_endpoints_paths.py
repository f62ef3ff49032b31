"""No id leaves its segment of the path, in either client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from airflow_provider_itwin.api.http.messages import Call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints

BASE = "https://api.bentley.com"
IDS = st.text(st.characters(exclude_categories=()), max_size=20) | st.text(
    st.sampled_from("./\\%2eEfF;?#&=+@:~ü a"), max_size=8
)
KINDS = st.sampled_from(ConnectionKind)
CALLS: list[tuple[Callable[..., Call[Any]], str]] = [
    (endpoints.get_run, "/{}/runs/{}"),
    (endpoints.get_run_summary, "/{}/runs/{}"),
    (lambda kind, connection_id, _: endpoints.get_connection(kind, connection_id), "/{}"),
    (lambda kind, connection_id, _: endpoints.get_runs(kind, connection_id, 1, 0), "/{}/runs"),
    (lambda kind, connection_id, _: endpoints.start_run(kind, connection_id), "/{}/run"),
]


@given(st.sampled_from(CALLS), KINDS, IDS, IDS)
@example(CALLS[0], ConnectionKind.STORAGE, "..", "r1")
@example(CALLS[0], ConnectionKind.STORAGE, "%2e%2e", "r1")
@example(CALLS[0], ConnectionKind.STORAGE, "a", "..;")
@example(CALLS[0], ConnectionKind.EXPORT, "a+b", "ü@:")
def test_no_id_leaves_its_segment(
    call_and_form: tuple[Callable[..., Call[Any]], str], kind: ConnectionKind, connection_id: str, run_id: str
) -> None:
    make, form = call_and_form
    try:
        path = make(kind, connection_id, run_id).path
    except ValueError:
        return
    root = endpoints.get_connections(kind, None, 1, 0).path
    wanted = form.count("{}")
    segments = [part for part in path.removeprefix(f"{root}/").split("/") if part not in ("run", "runs")]
    if {connection_id, run_id}.isdisjoint({"run", "runs"}):
        assert [unquote(part) for part in segments] == [connection_id, run_id][:wanted]
    assert path.startswith(f"{root}/")
    assert path.count("/") == root.count("/") + form.count("/")

    for url in (
        requests.Request("GET", BASE + path).prepare().url,
        str(URL(BASE + path, encoded=True)),
    ):
        sent = urlsplit(url or "")
        assert (sent.scheme, sent.netloc, sent.query, sent.fragment) == ("https", "api.bentley.com", "", "")
        assert [unquote(part) for part in sent.path.split("/")] == [unquote(part) for part in path.split("/")]


@given(IDS)
def test_no_id_adds_to_a_query(imodel_id: str) -> None:
    try:
        call = endpoints.get_connections(ConnectionKind.STORAGE, imodel_id, 10, 20)
    except ValueError:
        return
    assert dict(call.query) == {"imodelId": imodel_id, "$top": "10", "$skip": "20"}


@pytest.mark.parametrize("half", ["\ud800", "a\udc00"])
def test_an_id_with_a_lone_surrogate_is_refused(half: str) -> None:
    with pytest.raises(ValueError, match="is not a valid id"):
        endpoints.get_run(ConnectionKind.STORAGE, half, "r1")
