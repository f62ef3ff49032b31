"""Show docstrings and signatures on the documentation site as a user writes them: no Sphinx roles, no names of constants."""

from __future__ import annotations

import importlib
import re
from operator import attrgetter
from typing import Any

from griffe import Extension, Function, Object

_CONSTANT = re.compile(r"(?!None|True|False)_?[A-Z]\w*(?:\.\w+)*")
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?([^`]+)`")


class PlainRoles(Extension):
    """Replaces ``:class:`~a.b.C` `` with the last part of the name, as code."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Replace the roles in the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)

    def on_function(self, *, func: Function, **_: Any) -> None:
        """Replace the constants among the defaults of parameters by their values."""
        for parameter in func.parameters:
            name = str(parameter.default)
            if _CONSTANT.fullmatch(name):
                value = attrgetter(name)(importlib.import_module(func.module.path))
                # Members of enums are written as strings, and tuples as lists.
                value = str(value) if isinstance(value, str) else list(value) if isinstance(value, tuple) else value
                parameter.default = repr(value)


def plain(text: str) -> str:
    """Return `text` with its roles replaced."""
    return _ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", text)
