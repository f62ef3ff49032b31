"""Flows about folders: find them by path, create missing ones, list their content."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

from airflow_provider_itwin.api.errors import ITwinConflictError, ITwinError, ITwinNotFoundError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Flow
from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET, perform_call
from airflow_provider_itwin.api.models.storage import StorageItem
from airflow_provider_itwin.api.models.validation import known_id
from airflow_provider_itwin.api.storage import endpoints

_LAST = datetime.max.replace(tzinfo=UTC)


def content_pages(folder_id: str, retry_budget: float = DEFAULT_RETRY_BUDGET) -> Pages[StorageItem]:
    """Return the pages of the files and folders in a folder."""
    return Pages(
        lambda top, skip: endpoints.get_folder_content(folder_id, top, skip),
        lambda page: (page.entries, page.links),
        retry_budget,
    )


def read_content(
    account: Account,
    folder_id: str,
    keep: Callable[[StorageItem], bool],
    retry_budget: float = DEFAULT_RETRY_BUDGET,
) -> Flow[list[StorageItem]]:
    """
    Return the entries of a folder that `keep` selects; only these stay in memory.

    An entry that a person adds or removes meanwhile can shift the pages, so that another one is returned twice: it is dropped.
    """
    found: dict[str, StorageItem] = {}
    pages = content_pages(folder_id, retry_budget)
    while not pages.is_done:
        for entry in (yield from pages.next_page(account)):
            if known_id(entry.id) and entry.id and keep(entry):
                found[entry.id] = entry
    return list(found.values())


def oldest(entries: Collection[StorageItem]) -> StorageItem | None:
    """
    Return the entry that was created first, None for no entries.

    The service may allow several entries of one name. All tasks must agree on one of them.
    """
    return min(entries, key=lambda entry: (entry.created_at or _LAST, entry.id or ""), default=None)


def find_child_folder(
    account: Account, parent_id: str, name: str, retry_budget: float = DEFAULT_RETRY_BUDGET
) -> Flow[StorageItem | None]:
    """Return the folder with `name` in a folder, None if there is none; see :func:`choose_folder`."""
    return choose_folder((yield from read_content(account, parent_id, _has_name(name), retry_budget)), name)


def choose_folder(entries: Collection[StorageItem], name: str) -> StorageItem | None:
    """Return the folder with `name`, None if there is none; one that differs only in case is the second choice."""
    folders = list(filter(_has_name(name), entries))
    exact = [folder for folder in folders if folder.display_name == name]
    return oldest(exact or folders)


def _has_name(name: str) -> Callable[[StorageItem], bool]:
    return lambda entry: entry.is_folder and (entry.display_name or "").casefold() == name.casefold()


def find_folder(
    account: Account, root_id: str, names: Sequence[str], retry_budget: float = DEFAULT_RETRY_BUDGET
) -> Flow[str]:
    """
    Return the id of the folder at a path below `root_id`.

    :raises ITwinNotFoundError: if it does not exist
    """
    folder_id = root_id
    for number, name in enumerate(names, 1):
        folder = yield from find_child_folder(account, folder_id, name, retry_budget)
        if folder is None or folder.id is None:
            raise ITwinNotFoundError(f"There is no folder {'/'.join(names[:number])!r} in the iTwin's storage")
        folder_id = folder.id
    return folder_id


def ensure_folder(
    account: Account, parent_id: str, name: str, retry_budget: float = DEFAULT_RETRY_BUDGET
) -> Flow[tuple[str, bool]]:
    """
    Return the id of the folder with `name` in a folder, and whether it was created.

    Two tasks can create it at the same time. Whether the service allows two folders of one name is not documented, so the parent
    is read again afterwards, and all tasks use the folder that was created first.
    """
    folder = yield from find_child_folder(account, parent_id, name, retry_budget)
    if folder is not None and folder.id is not None:
        return folder.id, False
    refusal: ITwinError | None = None
    created: StorageItem | None = None
    try:
        created = yield from perform_call(account, endpoints.create_folder(parent_id, name), retry_budget)
    except ITwinConflictError as error:
        refusal = error
    folder = yield from find_child_folder(account, parent_id, name, retry_budget)
    chosen = folder or created
    if chosen is None or chosen.id is None:
        if refusal is not None:
            raise refusal
        raise ITwinNotFoundError(f"The folder {name!r} was created, but the service does not list it")
    return chosen.id, created is not None and created.id == chosen.id
