"""
The base of all resources of the iTwin Platform, and what they have in common: links and pages.

A missing field is None, an unknown one is ignored, and one of an unexpected type counts as missing, so that the other fields stay
readable: the service may add fields and values at any time.
"""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from airflow_provider_itwin.api.models.json_types import JsonValue
from airflow_provider_itwin.api.models.validation import no_xcom

_SPECIAL_NAMES = {
    "imodel_id": "iModelId",
    "itwin_id": "iTwinId",
    "links": "_links",
    "itwin": "iTwin",
    "imodel": "iModel",
}


def _api_name(name: str) -> str:
    first, *others = name.split("_")
    return _SPECIAL_NAMES.get(name) or first + "".join(part.capitalize() for part in others)


class Resource(msgspec.Struct, rename=_api_name, kw_only=True, omit_defaults=True, gc=False):
    """
    Base of all resources.

    Resources form no cycles, so the garbage collector does not track them: a large run has hundreds of thousands.
    """

    def as_dict(self) -> dict[str, JsonValue]:
        """Return the fields as JSON values: nested resources as objects, unknown values as None."""
        return {name: _json_value(getattr(self, name)) for name in self.__struct_fields__}

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)


def _json_value(value: Any) -> JsonValue:
    if isinstance(value, Resource):
        return value.as_dict()
    plain: JsonValue = [_json_value(entry) for entry in value] if isinstance(value, list) else value
    return plain


class Link(Resource):
    """A hyperlink to another resource."""

    href: str | None = None


class PageLinks(Resource):
    """Links to other pages; only their presence is used, never their addresses."""

    next: Link | None = None


class Page(Resource):
    """Base of the pages of a list."""

    links: PageLinks | None = None

    def __post_init__(self) -> None:
        # Treating any other object as an empty page would end the list early.
        if not any(getattr(self, name) is not None for name in self.__struct_fields__):
            raise ValueError("no page")
