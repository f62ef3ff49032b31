"""
The digest of a file's content, kept in the description of the file in iTwin Storage.

The service keeps no checksum. So the description carries ours, in brackets after whatever a person has written there:
``[airflow sha256=... source=... origin=... at=2026-11-28T01:02:03Z]``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_provider_itwin.api.models.moments import read_moment
from airflow_provider_itwin.api.models.storage import StorageItem

_PATTERN = re.compile(
    r"(?:(?<!\s)\s++)?\[airflow sha256=(?P<sha256>[0-9a-f]{64})(?: source=(?P<source>[A-Za-z0-9_-]{1,43}))?"
    r"(?: origin=(?P<origin>[A-Za-z0-9_-]{1,43}))? at=(?P<at>[0-9T:.Z+-]{10,35})\]"
)

_TOLERANCE = timedelta(minutes=10)
"""How much later than its marker a file may have been modified: writing the marker may count as a modification itself."""

LONGEST_DESCRIPTION = 255


@dataclass(frozen=True, slots=True)
class Marker:
    """
    What we have recorded about the content of a file.

    :param sha256: SHA-256 of the content, as 64 hexadecimal digits
    :param source: fingerprint of the source that the content was read from; see :func:`fingerprint`
    :param at: time by the service's clock at which the marker was written, right after the content
    :param origin: which source has brought the file to which path, see :func:`origin_mark`; None: unknown
    """

    sha256: str
    source: str | None
    at: datetime
    origin: str | None = None

    @classmethod
    def find(cls, description: str | None) -> Marker | None:
        """Return the marker in a description; None if there is none, or more than one."""
        found = list(_PATTERN.finditer(description or ""))
        at = read_moment(found[0]["at"]) if len(found) == 1 else None
        return cls(found[0]["sha256"], found[0]["source"], at, found[0]["origin"]) if at else None

    def applies_to(self, file: StorageItem) -> bool:
        """Return whether the content of `file` is still the one that the marker describes."""
        return file.modified_at is not None and file.modified_at <= self.at + _TOLERANCE

    def __str__(self) -> str:
        source = f" source={self.source}" if self.source else ""
        origin = f" origin={self.origin}" if self.origin else ""
        return f"[airflow sha256={self.sha256}{source}{origin} at={self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}]"


def described(description: str | None, marker: Marker | None) -> str:
    """
    Return a description with `marker` in place of earlier ones; what a person has written stays.

    :param marker: None for no marker
    """
    text = _PATTERN.sub("", description or "").strip()
    return " ".join(filter(None, (text, str(marker) if marker else "")))


def trusted_marker(file: StorageItem) -> Marker | None:
    """Return the marker of a file if it describes the present content, else None."""
    marker = Marker.find(file.description)
    return marker if marker and marker.applies_to(file) else None


def fingerprint(*parts: object) -> str:
    """
    Return a short fingerprint of what a source tells about its content without it being read: size, time, entity tag.

    It is a digest, so that paths and tags of a customer's storage are not displayed in another one.
    """
    text = "\0".join(map(str, parts))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:12]).decode()


def origin_mark(origin: str, path: str) -> str:
    """
    Return what a marker says of the origin of a file: a short fingerprint.

    It tells apart two sources that upload into one folder. A file that a person has moved or copied has that of another path.

    :param origin: the source, as :func:`~airflow_provider_itwin.hooks.upload_sources.list_sources` identifies it
    :param path: path of the file below the source
    """
    return fingerprint(origin, path.casefold())[:8]
