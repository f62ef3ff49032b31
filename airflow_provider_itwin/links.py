"""
Links from a task to where a person can read on.

On Airflow 3 a link is an XCom that Airflow writes when a try of the task ends; ours are written as soon as the run is known,
so that they are there while the task waits, too. On Airflow 2 the same XComs are read when somebody looks.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

from airflow_provider_itwin.api.redaction import web_address
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.hooks.itwin import ITwinHook

_LONGEST_ADDRESS = 2000

log = logging.getLogger(__name__)

_PAGES = {
    "storage": "https://developer.bentley.com/apis/synchronization/operations/get-storage-connection-run/",
    "manifest": "https://developer.bentley.com/apis/synchronization/operations/get-manifest-connection-run/",
    "export": "https://developer.bentley.com/apis/export/operations/get-export-connection-run/",
}


class _StoredLink(BaseOperatorLink):
    """A link whose address was written down by the task; never raises, and asks nobody but Airflow."""

    key: ClassVar[str]

    @property
    def xcom_key(self) -> str:
        """Name the XCom that has the address."""
        return self.key

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Give the address."""
        if AIRFLOW_V_3_0_PLUS and not getattr(operator, "has_links", False):
            # Only a task that ends asks here, and Airflow 3 logs an error for an XCom that is not there.
            return self._default(operator)
        try:
            found = XCom.get_value(ti_key=ti_key, key=self.key) if ti_key is not None else None
        except Exception as error:  # noqa: BLE001 (a page with one link less is better than none)
            log.debug("The link %s is not known: %s", self.name, error)
            found = None
        return web_address(found, _LONGEST_ADDRESS) or self._default(operator)

    def _default(self, operator: BaseOperator) -> str:
        try:
            return self.otherwise(operator)
        except Exception as error:  # noqa: BLE001 (as above)
            log.debug("The link %s has no default: %s", self.name, error)
            return ""

    def otherwise(self, operator: BaseOperator) -> str:
        """Give the address for when none was written down, empty for none."""
        raise NotImplementedError


class ITwinRunLink(_StoredLink):
    """From a task to the connections of the iModel in Bentley's portal, else to the description of the operation."""

    name = "iTwin connection"
    key = "_link_ITwinRunLink"

    def otherwise(self, operator: BaseOperator) -> str:
        """Give the description of the operation whose answer the task reports."""
        kind = getattr(operator, "kind", None)
        if kind not in _PAGES:
            # What is left of an operator on Airflow 2's web server knows its class by name only.
            named = str(getattr(operator, "task_type", "")).lower()
            kind = next((kind for kind in _PAGES if kind in named), "storage")
        return _PAGES[kind]


class ITwinIModelLink(_StoredLink):
    """From a task to the iModel in Bentley's portal, if the address is known."""

    name = "iModel"
    key = "_link_ITwinIModelLink"

    def otherwise(self, operator: BaseOperator) -> str:
        """Give no address."""
        return ""


async def stored_links(hook: ITwinHook, ref: RunRef) -> dict[str, str]:
    """
    Return the XComs of the links of a task that ends in the triggerer, where Airflow writes none; never raises.

    :return: addresses by key; one that is not known has its default, as after a task that ends on a worker
    """
    links = {ITwinRunLink.key: _PAGES[ref.kind], ITwinIModelLink.key: ""}
    try:
        found = await hook.addresses_async(ref)
    except Exception as error:  # noqa: BLE001 (no run fails for the lack of a link)
        log.info("The task has no links to the portal: %s", error)
        return links
    for link, address in ((ITwinRunLink, found.connection), (ITwinIModelLink, found.imodel)):
        if address is not None:
            links[link.key] = address
    return links


def write_links(
    task: Any,
    context: Mapping[str, Any],
    hook: ITwinHook,
    ref: RunRef,
    *,
    itwin_id: str | None = None,
    imodel_id: str | None = None,
) -> None:
    """
    Write down where the links of a task lead to; never raises.

    On Airflow 3 an address that is not known gets its default, as Airflow itself would write it at the end of the task.

    :param task: its `has_links` becomes true when all are written
    :param itwin_id: where the connection belongs, if that is known already, as is `imodel_id`; else the service is asked once
    """
    try:
        found = hook.addresses(ref, itwin_id=itwin_id, imodel_id=imodel_id)
        for link, address in ((ITwinRunLink, found.connection), (ITwinIModelLink, found.imodel)):
            if address is None and AIRFLOW_V_3_0_PLUS:
                address = link().otherwise(task)
            if address is not None:
                context["ti"].xcom_push(key=link.key, value=address)
        task.has_links = True
    except Exception as error:  # noqa: BLE001 (no run fails for the lack of a link)
        log.info("The task has no links to the portal: %s", error)
