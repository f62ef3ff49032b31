"""Pagination: reading the lists of the API page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from airflow_provider_itwin.api.errors import ITwinProtocolError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Call, Flow
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET, perform_call
from airflow_provider_itwin.api.models.resource import PageLinks

T = TypeVar("T")
PAGE_SIZE = 100
"""Entries of one page; every version of the API accepts this number."""

_MOST_PAGES = 2_000
"""Pages of one list, at most: 200,000 entries, more than any known list of files or runs has."""


class Pages(Generic[T]):
    """
    The pages of a list, and how far it has been read.

    Pages are requested by ``$skip``. The ``next`` link of a page only shows that there is another page; it is never followed.
    A page with the same entries as an earlier one ends the list: a faulty service could repeat pages for ever.

    :param call: returns the call for ``($top, $skip)``
    :param entries: returns the entries and the links of a page
    :param retry_budget: seconds for which the request of each page is retried
    """

    def __init__(
        self,
        call: Callable[[int, int], Call[Any]],
        entries: Callable[[Any], tuple[list[T] | None, PageLinks | None]],
        retry_budget: float = DEFAULT_RETRY_BUDGET,
    ) -> None:
        self._retry_budget = retry_budget
        self._call = call
        self._entries = entries
        self._skip = 0
        self._number = 0
        self._earlier: set[int] = set()
        self.is_done = False

    def next_page(self, account: Account) -> Flow[list[T]]:
        """
        Read the next page.

        :raises ITwinProtocolError: after 2,000 pages: a list without an end must not be truncated silently
        """
        if self._number >= _MOST_PAGES:
            raise ITwinProtocolError(f"The list has more than {_MOST_PAGES:,} pages")
        self._number += 1
        page = yield from perform_call(account, self._call(PAGE_SIZE, self._skip), self._retry_budget)
        found, links = self._entries(page)
        entries = found or []
        page_hash = hash(tuple(str(getattr(entry, "id", None) or entry) for entry in entries))
        if page_hash in self._earlier:
            entries = []
        self._earlier.add(page_hash)
        self._skip += len(entries)
        has_next = links is not None and links.next is not None and bool(links.next.href)
        self.is_done = not entries or (len(entries) < PAGE_SIZE and not has_next)
        return entries
