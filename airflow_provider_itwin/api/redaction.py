"""
Sanitizing of remote text: one printable line, secrets masked, bounded length.

Every text from the service, a gateway or a library passes :func:`excerpt` before it reaches a log, an exception, an XCom, an
event or lineage; :func:`redact` is the same without a length limit. Links pass :func:`web_address`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

HIDDEN = "***"

_MOST_READ = 1 << 16

# Terminal sequences: CSI, OSC with its text, and the two-character ones.
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"
    r"|(?:\x1b[\]P^_X]|[\x9d\x90\x9e\x9f\x98])[^\x07\x1b\x9c]*+(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*+[0-~]?"
)
_LINE_BREAKS = re.compile(r"[^\S ]+")
# Invisible although Python calls them printable: fillers, joiners and variation selectors.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")

# Each pattern takes linear time for any text. A character can be encoded more than once: %3D, %253D.
_EQUALS = r"(?:=|%(?:25)*+3D)"
_BEFORE_AT = re.compile(r"(?<![^\s\"'<>@])(?P<text>[^\s\"'<>@]{3,}+)@(?=[\w\[])")
_USER = r"[^/:(,]++:(?!//).++"
_USER_FIRST = re.compile(rf"(?:\A|(?<=[(,])|(?<=//)){_USER}")
_USER_LATER = re.compile(rf"(?:(?<=[(,])|(?<=//)){_USER}")
_URL = re.compile(
    r"(?<![a-z0-9+.-])(?P<scheme>[a-z][a-z0-9+.-]{0,19}(?:://|%(?:25)*+3A(?:%(?:25)*+2F){2}))(?P<rest>[^\s\"'<>]++)",
    re.IGNORECASE,
)
_QUERY_BEGINS = re.compile(r"[?#]|%(?:25)*+(?:3F|23)", re.IGNORECASE)
_HOST_ENDS = re.compile(r"[/?#%\\]")
_PORT = re.compile(r":\d{1,5}\Z")
_QUERY_WITHOUT_SCHEME = re.compile(
    rf"(?<=[^\s\"'<>])(?:\?|%(?:25)*+3F)[^\s\"'<>=?%]{{1,200}}{_EQUALS}[^\s\"'<>]*+", re.IGNORECASE
)
_BEARER = re.compile(r"\b(?P<scheme>bearer|basic)\s++[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]*+(?P<rest>(?:\.[A-Za-z0-9_-]++)*+)")
_PRIVATE_KEY = re.compile(r"-----BEGIN [^-]{0,40}-----.*?(?:-----END [^-]{0,40}-----|\Z)", re.DOTALL)
_SECRET_NAMES = (
    r"secret|passwo?r?d|passwd|passphrase|pwd|token|signature|credential|api[_.-]?key|access[_.-]?key|account[_.-]?key|"  # noqa: S105 (a pattern)
    r"private[_.-]?key|authorization"
)
_PAIR = re.compile(
    rf"(?<![A-Za-z0-9_.-])(?P<key>[A-Za-z0-9_.-]{{0,40}}?(?:{_SECRET_NAMES})[A-Za-z0-9_.-]{{0,20}}|sig|sas|jwt|pass|pw)"
    rf"(?P<is>(?:\\*+[\"'])?\s{{0,3}}{_EQUALS}\s{{0,3}}|\\*+[\"']\s{{0,3}}:\s{{0,3}})"
    r"(?:(?P<quote>\\*+[\"'])(?:(?!(?P=quote)).)*+|[^&\"'<>;]{1,200}(?=;)|[^\s&\"'<>]+)",
    re.IGNORECASE | re.DOTALL,
)


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """
    Return `text` as one printable line in which ``***`` replaces everything that could be a secret.

    :param text: any text for a log or an exception
    :param secrets: known secrets; masked in every encoding of their characters
    :return: the text without queries and user names of URLs (a pre-signed URL is a secret), tokens, signatures, values of
        names such as ``password`` or ``AccountKey``, and the known secrets
    """
    raw, text = text, printable(_without_secrets(text, secrets))
    if text != raw:
        # Removed characters may have separated those of a secret.
        text = _without_secrets(text, secrets)
    text = _PRIVATE_KEY.sub(HIDDEN, text)
    text = _URL.sub(_without_credentials, text)
    text = _BEFORE_AT.sub(_without_user, text)
    text = _QUERY_WITHOUT_SCHEME.sub(f"?{HIDDEN}", text)
    text = _BEARER.sub(rf"\g<scheme> {HIDDEN}", text)
    text = _JWT.sub(lambda token: HIDDEN if token["rest"] else token[0], text)
    return _PAIR.sub(lambda pair: f"{pair['key']}{pair['is']}{pair['quote'] or ''}{HIDDEN}", text)


def holds_secret(text: str) -> bool:
    """Return whether `text` contains a token, or a pair such as ``sig=...``."""
    return bool(_PAIR.search(text)) or any(token["rest"] for token in _JWT.finditer(text))


def _without_user(address: re.Match[str]) -> str:
    """Return the address without its user name and password, as in ``user:password@host``."""
    # What follows another @ is a host.
    user = _USER_LATER if address.string.endswith("@", 0, address.start()) else _USER_FIRST
    return f"{user.sub(HIDDEN, address['text'])}@"


def _without_credentials(url: re.Match[str]) -> str:
    """Return a URL without user name and query. A password may contain characters that end a host."""
    rest = url["rest"]
    host = _HOST_ENDS.split(rest, maxsplit=1)[0]
    if "@" in host:
        rest = f"{HIDDEN}@{rest.partition('@')[2]}" if host.count("@") == 1 else f"{HIDDEN}@{rest.rpartition('@')[2]}"
    elif "@" in rest and ":" in host:
        # Either user:pass/word@host or host:443/path@x: digits after the colon may begin a password.
        rest = HIDDEN if _PORT.search(host) else f"{HIDDEN}@{rest.rpartition('@')[2]}"
    query = _QUERY_BEGINS.search(rest)
    return url["scheme"] + (f"{rest[: query.start()]}?{HIDDEN}" if query else rest)


def excerpt(text: str, longest: int, secrets: tuple[str, ...] = ()) -> str:
    """Return the beginning of `text` in at most `longest` characters: one printable line, redacted before it is cut."""
    if len(text) > _MOST_READ:
        # Cut at the last word: a partial secret would not be recognized.
        text = _LAST_WORD.sub("", text[:_MOST_READ]).rstrip()
    return shortened(redact(text, secrets), longest)


_LAST_WORD = re.compile(r"(?<![^\s\"'<>&,;{}\[\]])[^\s\"'<>&,;{}\[\]]*+\Z")


def shortened(text: str, longest: int) -> str:
    """Return `text` in at most `longest` characters, with an ellipsis where it was cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def printable(text: str) -> str:
    """
    Return `text` as one line of visible characters.

    Terminal sequences and invisible characters (bidirectional controls, zero widths) are dropped, line breaks and other control
    characters become blanks, lone surrogates become U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _INVISIBLE.sub("", _ANSI.sub("", text))
    if text.isprintable():
        return text
    return "".join(map(_visible, _LINE_BREAKS.sub(" ", text)))


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    return " " if category == "Cc" or category.startswith("Z") else "\ufffd"


def web_address(text: object, longest: int = 500) -> str | None:
    """
    Return `text` if it is an http or https URL that is safe to open; else None.

    A query that may contain a signature is removed. A URL with credentials, blanks or quotes is rejected.
    """
    if not isinstance(text, str):
        return None
    text = text.strip()
    if not text.isascii() or not text.isprintable() or len(text) > longest or set(text) & set("<>\"'`\\ ()"):
        return None
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            return None
        if parts.port == 0:
            return None
    except ValueError:
        return None
    unsigned = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if redact(unsigned) != unsigned:
        return None
    return unsigned if _may_be_signed(parts.query) or _may_be_signed(parts.fragment) else text


def _may_be_signed(query: str) -> bool:
    return any(
        _SECRET_NAME.search(unquote(unquote(part.partition("=")[0])))
        or redact(value := unquote(unquote(part))) != value
        for part in re.split("[&;]", query)
    )


_SECRET_NAME = re.compile(
    rf"{_SECRET_NAMES}|(?:\A|[^a-z])(?:sig|sas|jwt|auth|key|code|pass|pw)(?:[^a-z]|\Z)", re.IGNORECASE
)


def _without_secrets(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if secret:
            text = _pattern_of(secret).sub(HIDDEN, text)
    return text


@lru_cache(maxsize=64)
def _pattern_of(secret: str) -> re.Pattern[str]:
    """Return a pattern for a secret; cached, because an outage repeats a token of a thousand characters in every error."""
    return re.compile("".join(map(_spellings, secret)))


def _spellings(char: str) -> str:
    """Return a pattern for one character of a secret: plain, or as encoded in a form, a URL or JSON."""
    plain = re.escape(char)
    if char.isascii() and char.isalnum():
        return plain
    encoded = quote(char, safe="", errors="surrogatepass")
    space = r"|\+" if char == " " else ""
    return rf"(?:\\?{plain}|(?i:{encoded}){space})"
