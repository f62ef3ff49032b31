"""Makes docstrings of this project readable for the documentation site: Sphinx roles become plain code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?([^`]+)`")


class PlainRoles(Extension):
    """Turns ``:class:`~a.b.C` `` into the last part of the name, as code."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)


def plain(text: str) -> str:
    """Replace the roles in a docstring."""
    return _ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", text)
