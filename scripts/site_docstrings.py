"""Convert Sphinx roles in docstrings to plain code for the documentation site."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?([^`]+)`")


class PlainRoles(Extension):
    """Replaces ``:class:`~a.b.C` `` with the last part of the name, as code."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Replace the roles in the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)


def plain(text: str) -> str:
    """Return `text` with its roles replaced."""
    return _ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", text)
