"""Source files of connections and runs, and the connectors that process them."""

from __future__ import annotations

from dataclasses import dataclass, field

from itwin_emulator.domain import ids
from itwin_emulator.domain.run_plans import MAX_FILES

CONNECTOR_TYPES = (
    "AUTOPLANT",
    "AVEVADIAGRAMS",
    "AVEVAPID",
    "CIVIL",
    "CIVIL3D",
    "DWG",
    "GEOSPATIAL",
    "IFC",
    "INTELLIPID",
    "MSTN",
    "NWD",
    "OBD",
    "OPENTOWER",
    "PROSTRUCTURES",
    "PSEXCEL",
    "REVIT",
    "SHELLEDWCSV",
    "SPPID",
    "SPXREVIEW",
)
"""The connectors of the documentation, including those that only other versions of it or Bentley's own clients name."""


@dataclass(slots=True)
class SourceFile:
    """A file of a connection."""

    file_id: str
    """Storage file id or, for a manifest connection, the id in the manifest."""
    name: str
    connector_type: str = "MSTN"
    id: str = field(default_factory=ids.guid)


_INVENTED = (
    ("Structure", "dgn", "MSTN"),
    ("Layout", "dwg", "DWG"),
    ("Architecture", "rvt", "REVIT"),
    ("Ductwork", "ifc", "IFC"),
    ("Alignment", "dgn", "CIVIL"),
    ("Grading", "dwg", "CIVIL3D"),
)


def invent_files(count: int, start: int = 0) -> list[SourceFile]:
    """
    Generate files of various connectors; the same number always has the same name and id.

    :param count: number of files
    :param start: number of the first file
    """
    if not 0 <= count <= MAX_FILES:
        raise ValueError(f"the number of files must be between 0 and {MAX_FILES}")
    files = []
    for number in range(start, start + count):
        stem, extension, connector = _INVENTED[number % len(_INVENTED)]
        name = f"{stem}-{number + 1:04d}.{extension}"
        files.append(SourceFile(ids.derived_id("invented", name), name, connector))
    return files
