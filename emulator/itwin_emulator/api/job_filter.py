"""The parameter ``$filter`` of lists of jobs: comparisons that ``and`` and ``or`` join."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

PROPERTIES = ("id", "iTwinId", "name", "type", "state", "createdDateTime", "email")
MAX_LENGTH = 10_000
_TOKEN = re.compile(r"\s*(?:(?P<mark>[(),])|'(?P<text>(?:[^']|'')*)'|(?P<word>[^\s(),']+))")
_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda one, other: one == other,
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
}
Properties = Mapping[str, str]
Test = Callable[[Properties], bool]


class FilterError(ValueError):
    """A filter that is not well-formed, or names an unknown property."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """A parsed filter."""

    matches: Test
    """Returns whether a job with these properties matches."""
    names: frozenset[str]
    """The properties that it compares."""


def parse(text: str, *, with_in: bool) -> JobFilter:
    """
    Parse a filter.

    :param with_in: whether the operator ``in`` is known, too
    :raises FilterError: the filter is invalid
    """
    if len(text) > MAX_LENGTH:
        raise FilterError("The filter is too long.")
    parser = _Parser(text, with_in)
    test = parser.alternatives()
    parser.expect_end()
    return JobFilter(test, frozenset(parser.names))


class _Parser:
    def __init__(self, text: str, with_in: bool) -> None:
        self.names: set[str] = set()
        self._with_in = with_in
        self._tokens: list[tuple[str, str]] = []
        position, text = 0, text.strip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None or found.end() == position:
                raise FilterError("The filter is not well-formed.")
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind].replace("''", "'") if kind == "text" else found[kind]))
            position = found.end()
        self._next = 0

    def expect_end(self) -> None:
        if self._next < len(self._tokens):
            raise FilterError("The filter does not end where it should.")

    def alternatives(self) -> Test:
        tests = [self._conjunction()]
        while self._accept("word", "or"):
            tests.append(self._conjunction())
        return lambda properties: any(test(properties) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._comparison()]
        while self._accept("word", "and"):
            tests.append(self._comparison())
        return lambda properties: all(test(properties) for test in tests)

    def _comparison(self) -> Test:
        name = self._take("word")
        if name not in PROPERTIES:
            raise FilterError(f"The filter cannot compare this property; it can compare {', '.join(PROPERTIES)}.")
        self.names.add(name)
        operator = self._take("word").lower()
        if operator == "in" and self._with_in:
            values = self._values()
            return lambda properties: properties.get(name, "") in values
        if operator not in _COMPARISONS:
            raise FilterError("The filter has an unknown operator.")
        compare, value = _COMPARISONS[operator], self._take("word", "text")
        return lambda properties: compare(properties.get(name, ""), value)

    def _values(self) -> list[str]:
        self._expect("(")
        values = [self._take("word", "text")]
        while self._accept("mark", ","):
            values.append(self._take("word", "text"))
        self._expect(")")
        return values

    def _take(self, *kinds: str) -> str:
        if self._next >= len(self._tokens) or self._tokens[self._next][0] not in kinds:
            raise FilterError("The filter is not well-formed.")
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _accept(self, kind: str, value: str) -> bool:
        found = self._next < len(self._tokens) and self._tokens[self._next] == (kind, value)
        self._next += found
        return found

    def _expect(self, mark: str) -> None:
        if not self._accept("mark", mark):
            raise FilterError("The filter is not well-formed.")
