"""
URLs of connections and iModels in Bentley's portal.

Bentley does not document these URLs; its own open-source applications use them (iTwin demo portal, iTwin viewer, samples). There
is no URL for a single run.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from airflow_provider_itwin.api.http.config import Environment, is_loopback
from airflow_provider_itwin.api.models.run_ref import RunRef

_PREFIXES = {"api.bentley.com": "", "qa-api.bentley.com": "qa-", "dev-api.bentley.com": "dev-"}
_CONNECTIONS = "https://{prefix}connect-itwinbridgeportal.bentley.com/{itwin_id}/{imodel_id}"
_IMODEL = "https://{prefix}connect-imodelhubwebsite.bentley.com/Context/{itwin_id}/iModel/{imodel_id}"
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Addresses:
    """
    URLs of pages about a run, None if unknown.

    :param connection: page with the connections of the iModel and their runs
    :param imodel: page of the iModel
    """

    connection: str | None = None
    imodel: str | None = None


def is_known(environment: Environment, template: str | None) -> bool:
    """Return whether there are any pages; if not, their ids need not be looked up."""
    return bool(template) or _prefix(environment) is not None


def addresses(
    environment: Environment, template: str | None, ref: RunRef, itwin_id: str | None, imodel_id: str | None
) -> Addresses:
    """
    Return the URLs of the pages about a run.

    :param template: URL of the page of a connection in another portal, which may contain ``{itwin_id}``, ``{imodel_id}``,
        ``{connection_id}`` and ``{run_id}``; None: Bentley's portal
    :param itwin_id: id of the iTwin, None if unknown
    :param imodel_id: id of the iModel, None if unknown
    """
    values = {
        "itwin_id": itwin_id,
        "imodel_id": imodel_id,
        "connection_id": ref.connection_id,
        "run_id": ref.run_id,
        "prefix": _prefix(environment),
    }
    return Addresses(_filled(template or _CONNECTIONS, values), _filled(_IMODEL, values))


def _prefix(environment: Environment) -> str | None:
    return _PREFIXES.get(urlsplit(environment.api).hostname or "")


def _filled(template: str, values: dict[str, str | None]) -> str | None:
    """Return the filled template; None if a value is unknown, or the result is not a safe URL."""
    address = template.strip()
    for name, value in values.items():
        place = f"{{{name}}}"
        if place in address:
            if value is None:
                return None
            address = address.replace(place, quote(value, safe=""))
    try:
        parts = urlsplit(address)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
    except ValueError:
        return None
    is_valid = is_safe and parts.hostname and not parts.username and address.isprintable() and " " not in address
    return address if is_valid and len(address) <= _LONGEST else None
