"""What the real service has and the emulator has not."""

from __future__ import annotations

import pytest

from itwin_emulator.spec.not_emulated import NOT_EMULATED_OPERATIONS
from itwin_emulator.spec.router import find_route
from platform_client import Api, error_of


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("GET", "/webhooks/", "the Webhooks API"),
        ("POST", "/transformations/configurations/import-imodel", "create-configuration"),
        ("GET", "/transformations/configurations", "get-configurations"),
        ("GET", "/reality-modeling/files", "get-files"),
        ("GET", "/synchronization/configurations/imodels/x", "get-configuration"),
        ("GET", "/synchronization/reports?runId=x", "get-diagnostic-reports"),
        ("GET", "/imodels/favorites?iTwinId=x", "get-my-favorite-imodels"),
        ("GET", "/imodels/m/changesets/extendeddata", "get-imodel-changesets-extended-data"),
        ("PATCH", "/imodels/m/locks", "update-imodel-locks"),
        ("GET", "/itwins/myprimaryaccount", "get-my-primary-account"),
        ("GET", "/itwins/t/repositories/r/resources", "get-repository-resources"),
        ("GET", "/echo/context", "the Echo API"),
    ],
)
def test_an_operation_that_is_not_emulated_gets_501(api: Api, method: str, path: str, what: str) -> None:
    answer = api.call(method, path)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (501, "NotEmulated")
    assert what in error["message"]
    assert method in error["message"]


@pytest.mark.parametrize("path", ["/nowhere", "/imodels/m/nowhere", "/itwins/x/y/z", "/synchronization"])
def test_an_unknown_path_gets_404(api: Api, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "ResourceNotFound")


def test_the_table_names_no_emulated_operation() -> None:
    emulated = [
        (identifier, method, path)
        for identifier, method, path in NOT_EMULATED_OPERATIONS
        if find_route(method, "/" + path.replace("{}", "x")).operation is not None
    ]
    assert emulated == []
