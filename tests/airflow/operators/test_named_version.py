"""Naming the state that a run produced: the changeset of the run and no other, once, whatever happens."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import ITwinPermanentError, ITwinTransientError
from airflow_provider_itwin.operators.itwin import ITwinCreateNamedVersionOperator, ITwinRunStorageConnectionOperator
from tests.airflow.operators.run_operators import IMODEL, NIGHT, RIVAL, operations, rendered

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock
    from tests.airflow.single_task import Outcome

    RunTask = Callable[..., Outcome]

CREATE = "create-imodel-named-version"
LIST = "get-imodel-named-versions"


def ref(run_id: str, connection_id: str = NIGHT) -> dict[str, str]:
    return {"kind": "storage", "connection_id": connection_id, "run_id": run_id}


def task(run_ref: Any, **arguments: Any) -> ITwinCreateNamedVersionOperator:
    given: dict[str, Any] = {"task_id": "name", "run_ref": run_ref, "name": "Nightly 2026-11-28"}
    return ITwinCreateNamedVersionOperator(**given | arguments)


@pytest.fixture
def ended(emulator: Emulator, clock: FakeClock) -> Callable[..., str]:
    """Return a function that runs a connection to its end, and returns the id of the run."""

    def run(
        connection_id: str = NIGHT, result: str = "Success", changesets: int | None = None, pause: float = 300
    ) -> str:
        emulator.plan_run(connection_id, result, 60, changesets=changesets)
        run_id = emulator.start_run(connection_id)
        clock.sleep(60 + pause)
        return run_id

    return run


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return a function that returns the log: Airflow 3 prints that of tasks."""
    caplog.set_level(logging.INFO)
    return lambda: capsys.readouterr().out + caplog.text


def names(emulator: Emulator) -> list[tuple[str, str | None]]:
    """Return the named versions with the ids of their changesets."""
    return [(one["name"], one["changesetId"]) for one in emulator.named_versions(IMODEL)]


def changesets(emulator: Emulator) -> list[str]:
    """Return the ids of the changesets, oldest first."""
    return [one["id"] for one in emulator.changesets(IMODEL)]


def test_the_newest_changeset_of_the_run_is_named(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str]
) -> None:
    ended()
    run_id = ended(changesets=3)
    emulator.push_changesets(IMODEL)
    ended(RIVAL)
    *_, wanted, _, _ = changesets(emulator)

    outcome = run_task(task(ref(run_id), description="After the night"))

    assert outcome.state == "success", outcome.text
    [version] = emulator.named_versions(IMODEL)
    assert outcome.value == {
        "id": version["id"],
        "name": "Nightly 2026-11-28",
        "imodel_id": IMODEL,
        "changeset_id": wanted,
        "changeset_index": 4,
        "created": True,
    }
    assert (version["changesetId"], version["description"]) == (wanted, "After the night")


@pytest.mark.parametrize("task_id", ["task", "run", "null", "absent"])
def test_whatever_a_synchronization_names(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str], task_id: Any
) -> None:
    emulator.quirks.changeset_task_id = task_id
    ended(RIVAL)
    run_id = ended(changesets=2)
    ended(RIVAL)

    outcome = run_task(task(ref(run_id)))

    assert outcome.state == "success", outcome.text
    assert outcome.value["changeset_index"] == 3


def test_a_run_operator_passes_its_reference(emulator: Emulator, run_task: RunTask) -> None:
    ran = run_task(ITwinRunStorageConnectionOperator(task_id="synchronize", connection_id=NIGHT))

    outcome = run_task(task(ran.xcoms["run_ref"]))

    assert outcome.value["changeset_id"] == changesets(emulator)[-1]


@pytest.mark.parametrize(
    "form",
    [
        lambda run_id: ref(run_id),
        lambda run_id: f"storage/{NIGHT}/{run_id}",
        lambda run_id: {"ref": ref(run_id), "result": "Success"},
    ],
    ids=["run_ref", "text", "report"],
)
def test_every_form_of_a_reference_works(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str], form: Callable[[str], Any]
) -> None:
    assert run_task(task(form(ended()))).state == "success"


# Nothing to name


@pytest.mark.parametrize(("choice", "state"), [("skip", "skipped"), ("pass", "success"), ("fail", "failed")])
def test_a_run_without_changes_names_nothing(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str], choice: Any, state: str
) -> None:
    ended()
    run_id = ended(changesets=0)

    outcome = run_task(task(ref(run_id), on_no_changes=choice))

    assert (outcome.state, outcome.value) == (state, None)
    if outcome.error is not None:
        assert f"Run storage/{NIGHT}/{run_id} has pushed no changeset to iModel {IMODEL}" in outcome.text
    assert names(emulator) == []


def test_a_run_that_has_not_ended_is_an_error_that_can_be_retried(emulator: Emulator, run_task: RunTask) -> None:
    run_id = emulator.start_run(NIGHT)

    outcome = run_task(task(ref(run_id)))

    assert isinstance(outcome.error, ITwinTransientError)
    assert f"Run {run_id} has not ended" in outcome.text
    assert CREATE not in operations(emulator)


def test_the_state_after_a_failed_run_is_named_with_a_warning(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, logged: Callable[[], str]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600, changesets=5)
    run_id = emulator.start_run(NIGHT)
    clock.sleep(400)
    pushed = changesets(emulator)
    assert pushed
    emulator.finish_run(NIGHT, result="Error")

    outcome = run_task(task(ref(run_id)))

    assert outcome.value["changeset_id"] == pushed[-1]
    assert "failed (its result is Error), but has pushed changesets" in logged()


# Unclear


def unclear(emulator: Emulator, ended: Callable[..., str]) -> str:
    """Make a run of which it is unclear what it has pushed: the next one follows at once, and changesets name no run."""
    emulator.quirks.changeset_task_id = "null"
    run_id = ended(changesets=0, pause=0)
    emulator.plan_run(RIVAL, "Success", 60, changesets=9)
    emulator.start_run(RIVAL)
    return run_id


def test_an_unclear_changeset_is_an_error_with_candidates(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str], clock: FakeClock
) -> None:
    run_id = unclear(emulator, ended)
    clock.sleep(300)

    outcome = run_task(task(ref(run_id)))

    assert isinstance(outcome.error, ITwinPermanentError)
    newest = changesets(emulator)[-1]
    assert f"Which changeset run storage/{NIGHT}/{run_id} has pushed to iModel {IMODEL} is unclear" in outcome.text
    assert f"Candidates: index 9, id {newest}, pushed at " in outcome.text
    assert outcome.text.endswith("Nothing was named. Set changeset_id to the changeset to name.")
    assert names(emulator) == []


@pytest.mark.parametrize("by", ["id", "index"])
def test_a_chosen_changeset_is_named_without_a_question(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str], clock: FakeClock, by: str
) -> None:
    run_id = unclear(emulator, ended)
    clock.sleep(300)
    wanted = changesets(emulator)[2]

    outcome = run_task(task(ref(run_id), changeset_id=wanted if by == "id" else "3"))

    assert (outcome.value["changeset_id"], outcome.value["changeset_index"]) == (wanted, 3)
    assert "get-imodel-changesets" not in operations(emulator)


def test_an_empty_choice_is_none(emulator: Emulator, run_task: RunTask, ended: Callable[..., str]) -> None:
    assert run_task(task(ref(ended()), changeset_id="")).state == "success"


def test_a_chosen_changeset_that_does_not_exist_is_a_permanent_error(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str]
) -> None:
    outcome = run_task(task(ref(ended()), changeset_id="f" * 40))

    assert isinstance(outcome.error, ITwinPermanentError)
    assert "ChangesetNotFound" in outcome.text


# Names that exist


def test_a_second_attempt_finds_what_the_first_one_created(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str]
) -> None:
    run_id = ended()
    first, second = (run_task(task(ref(run_id))) for _ in range(2))

    assert second.value == first.value | {"created": False}
    assert len(names(emulator)) == 1


def test_a_name_of_another_changeset_is_a_permanent_error(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str]
) -> None:
    run_task(task(ref(ended())))
    older = changesets(emulator)[-1]

    outcome = run_task(task(ref(ended())))

    newer = changesets(emulator)[-1]
    assert isinstance(outcome.error, ITwinPermanentError)
    assert f"Named version 'Nightly 2026-11-28' was not created on changeset {newer} of iModel {IMODEL}" in outcome.text
    assert f"this name belongs to changeset {older} (index 1)" in outcome.text
    assert "Choose a name that differs between runs" in outcome.text
    assert names(emulator) == [("Nightly 2026-11-28", older)]


def test_a_changeset_with_another_name_is_used_with_a_warning(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str], logged: Callable[[], str]
) -> None:
    run_id = ended()
    version_id = emulator.add_named_version(IMODEL, "Milestone 30 %")

    outcome = run_task(task(ref(run_id)))

    assert outcome.value["id"] == version_id
    assert (outcome.value["name"], outcome.value["created"]) == ("Milestone 30 %", False)
    text = logged()
    assert f"already has the named version 'Milestone 30 %' ({version_id}), which is used instead" in text
    assert "Named version 'Nightly 2026-11-28' was not created" in text


def test_a_changeset_with_another_name_fails_the_task_on_request(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str]
) -> None:
    run_id = ended()
    emulator.add_named_version(IMODEL, "Milestone 30 %")

    outcome = run_task(task(ref(run_id), if_named="fail"))

    assert isinstance(outcome.error, ITwinPermanentError)
    assert "already has the named version 'Milestone 30 %'" in outcome.text
    assert "With if_named='use', the existing one is used." in outcome.text


@pytest.mark.parametrize("kind", ["reset-after", "truncate", "short-length", "invalid-json"])
def test_a_lost_response_ends_well(emulator: Emulator, run_task: RunTask, ended: Callable[..., str], kind: Any) -> None:
    run_id = ended()
    emulator.fail(CREATE, kind=kind)

    outcome = run_task(task(ref(run_id), if_named="fail"))

    assert outcome.state == "success", outcome.text
    assert names(emulator) == [("Nightly 2026-11-28", outcome.value["changeset_id"])]
    assert operations(emulator).count(CREATE) == 1, "the list is read before the request is repeated"


@pytest.mark.parametrize("body", [{}, "", {"message": "Conflict"}, {"error": {"code": "SomethingNew", "message": "x"}}])
def test_a_conflict_without_its_code_ends_well(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str], body: Any
) -> None:
    run_id = ended()
    first = run_task(task(ref(run_id)))
    emulator.fail(CREATE, status=409, body=body, times=None)

    outcome = run_task(task(ref(run_id)))

    assert outcome.value == first.value | {"created": False}


def test_an_unexplained_conflict_can_be_retried(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str]
) -> None:
    run_id = ended()
    emulator.fail(CREATE, status=409, body={"error": {"code": "AnotherUserPushing", "message": "x"}}, times=None)

    outcome = run_task(task(ref(run_id)))

    assert isinstance(outcome.error, ITwinTransientError)
    assert "AnotherUserPushing" in outcome.text
    assert "Another request may be in progress. Try again." in outcome.text


# Mistakes


def test_the_run_of_an_export_is_a_permanent_error(emulator: Emulator, run_task: RunTask) -> None:
    outcome = run_task(rendered(task(ref("a-run")), run_ref={"kind": "export", "connection_id": "e", "run_id": "r"}))

    assert isinstance(outcome.error, ITwinPermanentError)
    assert "run_ref is the run of an export connection, which changes no iModel" in outcome.text
    assert not emulator.request_log


def test_the_imodel_must_be_that_of_the_connection(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str]
) -> None:
    run_id = ended()

    outcome = run_task(task(ref(run_id), imodel_id="another-imodel"))

    assert isinstance(outcome.error, ITwinPermanentError)
    assert f"imodel_id is another-imodel, but storage connection {NIGHT} belongs to iModel {IMODEL}" in outcome.text
    assert run_task(task(ref(run_id), imodel_id=IMODEL.upper())).state in ("success", "failed")


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name must not be ''"),
    ({"name": "None"}, "name must not be 'None'"),
    ({"name": None}, "name must be a str, not None"),
    ({"name": "x" * 256}, "name has 256 characters; the service accepts 255"),
    ({"name": "two\nlines"}, "it contains line breaks"),
    ({"description": "x" * 256}, "description has 256 characters; the service accepts 255"),
    ({"run_ref": {}}, "run_ref must be the XCom run_ref of a run operator"),
    ({"run_ref": None}, "run_ref must be the XCom run_ref of a run operator"),
    ({"run_ref": "a-run-id"}, "run_ref must be the XCom run_ref of a run operator"),
    ({"run_ref": {"kind": "storages", "connection_id": "c", "run_id": "r"}}, "invalid kind 'storages'"),
    ({"run_ref": {"kind": "storage", "connection_id": "a/b", "run_id": "r"}}, "connection_id is 'a/b'"),
    ({"changeset_id": "None"}, "changeset_id must not be 'None'"),
    ({"imodel_id": "a b"}, "imodel_id is 'a b'"),
]


@pytest.mark.parametrize(("values", "words"), INVALID, ids=str)
def test_an_invalid_rendered_value_is_a_permanent_error_before_any_request(
    emulator: Emulator, run_task: RunTask, values: dict[str, Any], words: str
) -> None:
    outcome = run_task(rendered(task(ref("a-run")), **values))

    assert isinstance(outcome.error, ITwinPermanentError)
    assert words in outcome.text
    assert not emulator.request_log


@pytest.mark.parametrize("length", [1, 255])
def test_names_up_to_255_characters_are_accepted(
    emulator: Emulator, run_task: RunTask, ended: Callable[..., str], length: int
) -> None:
    assert run_task(task(ref(ended()), name="ü" * length, description="line\nline")).state == "success"
