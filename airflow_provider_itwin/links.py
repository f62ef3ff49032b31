"""
Extra links of a task.

On Airflow 3 a link is an XCom that Airflow writes when an attempt of the task ends. Ours are written as soon as the run is known,
so that they exist while the task waits. On Airflow 2 the same XComs are read when the page of the task is opened.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar, Protocol

from airflow_provider_itwin.api.redaction import web_address
from airflow_provider_itwin.sdk_compat import BaseOperatorLink, XCom
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.hooks.itwin import ITwinHook
    from airflow_provider_itwin.sdk_compat import BaseOperator, Context, TaskInstanceKey

_LONGEST_ADDRESS = 2000

log = logging.getLogger(__name__)


class _LinkedTask(Protocol):
    """A task with links."""

    has_links: bool


class _StoredLink(BaseOperatorLink):
    """A link whose URL is in an XCom of the task; never raises, and sends no request to the service."""

    key: ClassVar[str]

    @property
    def xcom_key(self) -> str:
        """The key of the XCom with the URL."""
        return self.key

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey | None) -> str:
        """Return the URL; empty: no link."""
        if ti_key is None or (AIRFLOW_V_3_0_PLUS and not getattr(operator, "has_links", False)):
            # Airflow 3 calls this when the task ends, and logs an error for a missing XCom.
            return ""
        try:
            found = XCom.get_value(ti_key=ti_key, key=self.key)
        except Exception as error:  # noqa: BLE001 (a page without the link is better than none)
            log.debug("Cannot read the link %s: %s", self.name, error)
            return ""
        return web_address(found, _LONGEST_ADDRESS) or ""


class ITwinRunLink(_StoredLink):
    """Links a task to the connections of the iModel in the portal, if the URL is known."""

    name = "iTwin connection"
    key = "_link_ITwinRunLink"


class ITwinIModelLink(_StoredLink):
    """Links a task to the iModel in Bentley's portal, if the URL is known."""

    name = "iModel"
    key = "_link_ITwinIModelLink"


async def stored_links(hook: ITwinHook, ref: RunRef) -> dict[str, str]:
    """
    Return the XComs of the links of a task that ends in the triggerer, where Airflow writes none; never raises.

    :return: URLs by key; an unknown one is empty, as after a task that ends on a worker
    """
    links = {ITwinRunLink.key: "", ITwinIModelLink.key: ""}
    try:
        found = await hook.addresses_async(ref)
    except Exception as error:  # noqa: BLE001 (a missing link must not fail a task)
        log.info("Cannot determine the links to the portal: %s", error)
        return links
    for link, address in ((ITwinRunLink, found.connection), (ITwinIModelLink, found.imodel)):
        if address is not None:
            links[link.key] = address
    return links


def write_links(
    task: _LinkedTask,
    context: Context,
    hook: ITwinHook,
    ref: RunRef,
    *,
    itwin_id: str | None = None,
    imodel_id: str | None = None,
) -> None:
    """
    Write the XComs of the links of a task; never raises.

    On Airflow 3 an unknown URL is written as an empty one, as Airflow itself would do at the end of the task.

    :param task: its `has_links` is set to True when all are written
    :param context: the context of the task
    :param itwin_id: id of the iTwin; None: it is looked up
    :param imodel_id: id of the iModel; None: it is looked up
    """
    try:
        found = hook.addresses(ref, itwin_id=itwin_id, imodel_id=imodel_id)
        for link, address in ((ITwinRunLink, found.connection), (ITwinIModelLink, found.imodel)):
            if address is not None or AIRFLOW_V_3_0_PLUS:
                context["ti"].xcom_push(key=link.key, value=address or "")
        task.has_links = True
    except Exception as error:  # noqa: BLE001 (a missing link must not fail a task)
        log.info("Cannot write the links to the portal: %s", error)
