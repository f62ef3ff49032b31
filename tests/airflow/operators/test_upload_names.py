"""The name of a file is refused before anything is sent, or it is exactly the name in iTwin Storage."""

from __future__ import annotations

import itertools
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.storage.plan import UploadSource
from airflow_provider_itwin.hooks.itwin import ITwinHook
from itwin_emulator.domain.storage import StoredFile

if TYPE_CHECKING:
    from itwin_emulator import Emulator

CONTENT = b"tower"
_numbers = itertools.count(1)

NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=60)
"""What a file can be named on a disk, and more: also surrogates, which stand for bytes that are not UTF-8."""

LIKELY_NAMES = st.from_regex(r"\A[A-Za-z0-9äöüß日本é\u0301 ._~#%&+;=@\[\]{}()'!,$^`-]{1,40}\Z")
"""Names that people give, with the characters that URLs, templates and JSON treat specially."""


def source(path: str) -> UploadSource:
    return UploadSource(path, len(CONTENT), "mark", lambda: BytesIO(CONTENT), lambda: (len(CONTENT), "mark"))


def stored_names(emulator: Emulator, itwin_id: str) -> list[str]:
    items = emulator.store.storage.items.values()
    return [item.display_name for item in items if isinstance(item, StoredFile) and item.itwin_id == itwin_id]


@pytest.fixture
def hook(emulator: Emulator) -> ITwinHook:
    """The hook that uploads."""
    return ITwinHook()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.one_of(NAMES, LIKELY_NAMES), in_folder=st.booleans())
@example(name="Pla\u0308ne.dgn", in_folder=True)
@example(name="Pl\u00e4ne.dgn", in_folder=False)
@example(name="\U0001f3d7.dgn", in_folder=False)
@example(name="\ud83c.dgn", in_folder=False)
@example(name="\udcff.dgn", in_folder=False)
@example(name="a\u200bb.dgn", in_folder=False)
@example(name="\ufeffa.dgn", in_folder=False)
@example(name="\u00a0a.dgn", in_folder=True)
@example(name="%2e%2e.dgn", in_folder=False)
@example(name="\U0001f600" * 200, in_folder=False)
@example(name="setup.jar", in_folder=False)
@example(name="{{ macros }}.dgn", in_folder=True)
def test_a_name_is_refused_up_front_or_arrives_as_it_is(
    emulator: Emulator, hook: ITwinHook, name: str, in_folder: bool
) -> None:
    itwin_id = f"names-{next(_numbers)}"
    emulator.add_itwin(itwin_id)
    folder_id = hook.find_folder(itwin_id)
    emulator.request_log.clear()
    path = f"{name}/{name}" if in_folder else name
    try:
        summary = hook.upload_files([source(path)], folder_id)
    except ITwinInputError as error:
        assert not list(emulator.request_log), "refused before anything is sent"
        str(error).encode()
        return
    assert summary.failed == []
    assert [file.outcome for file in summary.files] == ["created"]
    assert stored_names(emulator, itwin_id) == [name]
    [again] = hook.upload_files([source(path)], folder_id).files
    assert again.outcome == "unchanged", "it is found again by its name"
