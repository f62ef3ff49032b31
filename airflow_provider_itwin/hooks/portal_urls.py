"""
Where a person can look at a connection and at its iModel in a browser.

Bentley documents no such addresses; these two are the ones that its own open-source applications lead to (iTwin demo portal,
iTwin viewer, samples). There is none for a single run.
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
    Pages about a run, None where none is known.

    :param connection: the connections of the iModel, with their runs
    :param imodel: the iModel
    """

    connection: str | None = None
    imodel: str | None = None


def is_known(environment: Environment, template: str | None) -> bool:
    """Tell whether there can be any address at all, before anybody goes to find ids for it."""
    return bool(template) or _prefix(environment) is not None


def addresses(
    environment: Environment, template: str | None, ref: RunRef, itwin_id: str | None, imodel_id: str | None
) -> Addresses:
    """
    Give the pages about a run.

    :param template: the address of the connection's page, with ``{itwin_id}``, ``{imodel_id}``, ``{connection_id}`` and
        ``{run_id}`` in it, for a portal of one's own; None for Bentley's
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
    """Fill in what a template asks for; None if something of it is not known, or no browser should be sent there."""
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
    sound = is_safe and parts.hostname and not parts.username and address.isprintable() and " " not in address
    return address if sound and len(address) <= _LONGEST else None
