"""Which connector reads a file: by its extension, unless a pattern says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from airflow_provider_itwin.api.errors import ITwinInputError

_EXTENSIONS = {
    "MSTN": "dgn i.dgn 3dm 3ds dae fbx hln igs jt land.xml obj sat skp stl stp x_t",
    "DWG": "dwg dxf",
    "REVIT": "rvt",
    "IFC": "ifc",
    "NWD": "nwd nwc",
    "GEOSPATIAL": "geodb geojson kml shp",
    "OPENTOWER": "otxml",
    "SPXREVIEW": "vue",
    "SPPID": "zip",
}

CONNECTORS = {
    f".{extension}": connector for connector, extensions in _EXTENSIONS.items() for extension in extensions.split()
}
"""The connector for each extension. Some types have others, too: a DGN file of OpenRoads is read by ``CIVIL``."""


def connector_for(path: str, overrides: Mapping[str, str]) -> str | None:
    """
    Return the connector for a file; None if no connector is known.

    :param path: path or name of the file
    :param overrides: connectors by pattern, such as ``{"*.civil.dgn": "CIVIL"}``; the first pattern that matches the name or
        the path, in any case, decides
    """
    lower = path.lower()
    name = lower.rpartition("/")[2]
    for pattern, connector in overrides.items():
        if fnmatchcase(name, pattern.lower()) or fnmatchcase(lower, pattern.lower()):
            return connector
    # The longest extension decides: of `site.land.xml` that is `.land.xml`.
    matching = [extension for extension in CONNECTORS if name.endswith(extension)]
    return CONNECTORS[max(matching, key=len)] if matching else None


def check_connectors(overrides: object) -> Mapping[str, str]:
    """
    Return connectors by pattern, validated; None stands for none.

    :raises ITwinInputError: if they are not a mapping of str to str
    """
    if overrides is None:
        return {}
    if not isinstance(overrides, Mapping) or not all(
        isinstance(key, str) and isinstance(value, str) and key and value for key, value in overrides.items()
    ):
        raise ITwinInputError(f'connectors must be a mapping such as {{"*.dgn": "CIVIL"}}, not {overrides!r}')
    return overrides
