"""What the real service has and the emulator has not: clients get a 501 that says so, rather than a 404."""

from __future__ import annotations

NOT_EMULATED_APIS: dict[str, str] = {
    "accesscontrol": "Access Control",
    "analytical-api": "Analytics",
    "carbon-calculation": "Carbon Calculation",
    "clash-detection": "Clash Detection",
    "clashdetection": "Clash Detection",
    "contextcapture": "Reality Modeling",
    "echo": "Echo",
    "forms": "Forms",
    "geographic-coordinate-system": "Geographic Coordinate System",
    "insights": "Insights",
    "issues": "Issues",
    "library": "Library",
    "mesh-export": "Mesh Export",
    "named-groups": "Named Groups",
    "projects": "Projects",
    "reality-management": "Reality Management",
    "realityconversion": "Reality Conversion",
    "realitydataanalysis": "Reality Analysis",
    "savedviews": "Saved Views",
    "schedules": "4D Schedules",
    "users": "Users",
    "validation": "Property Validation",
    "webhooks": "Webhooks",
}
"""Names of APIs by the first segment of their paths."""

_IMODEL = "imodels/{}"
_DETECTOR = "reality-analysis/detectors/{}"
_MAPPINGS = "grouping-and-mapping/datasources/imodel-mappings"
NOT_EMULATED_OPERATIONS: tuple[tuple[str, str, str], ...] = (
    # Synchronization
    *(
        (f"{verb}-configuration", method, f"synchronization/configurations/{of}/{{}}")
        for of in ("itwins", "imodels", "connections")
        for verb, method in (("get", "GET"), ("create", "POST"), ("update", "PATCH"), ("delete", "DELETE"))
    ),
    ("get-diagnostic-reports", "GET", "synchronization/reports"),
    # iModels
    ("get-my-favorite-imodels", "GET", "imodels/favorites"),
    ("add-imodel-to-favorites", "PUT", "imodels/favorites/{}"),
    ("remove-imodel-from-favorites", "DELETE", "imodels/favorites/{}"),
    ("get-my-recent-imodels", "GET", "imodels/recents"),
    ("add-imodel-to-recents", "PUT", "imodels/recents/{}"),
    ("remove-imodel-from-recents", "DELETE", "imodels/recents/{}"),
    ("complete-imodel-upload", "POST", f"{_IMODEL}/complete"),
    ("get-imodel-thumbnail", "GET", f"{_IMODEL}/thumbnail"),
    ("update-imodel-thumbnail", "PUT", f"{_IMODEL}/thumbnail"),
    ("get-imodel-briefcases", "GET", f"{_IMODEL}/briefcases"),
    ("acquire-imodel-briefcase", "POST", f"{_IMODEL}/briefcases"),
    ("get-imodel-briefcase-details", "GET", f"{_IMODEL}/briefcases/{{}}"),
    ("release-imodel-briefcase", "DELETE", f"{_IMODEL}/briefcases/{{}}"),
    ("create-imodel-changeset", "POST", f"{_IMODEL}/changesets"),
    ("update-imodel-changeset", "PATCH", f"{_IMODEL}/changesets/{{}}"),
    ("get-imodel-changesets-extended-data", "GET", f"{_IMODEL}/changesets/extendeddata"),
    ("get-imodel-changeset-extended-data-details", "GET", f"{_IMODEL}/changesets/{{}}/extendeddata"),
    ("create-imodel-changeset-group", "POST", f"{_IMODEL}/changesetgroups"),
    ("update-imodel-changeset-group", "PATCH", f"{_IMODEL}/changesetgroups/{{}}"),
    ("update-named-version-checkpoint", "PUT", f"{_IMODEL}/namedversions/{{}}/checkpoint"),
    ("get-imodel-locks", "GET", f"{_IMODEL}/locks"),
    ("update-imodel-locks", "PATCH", f"{_IMODEL}/locks"),
    ("release-imodel-locks-chunk", "POST", f"{_IMODEL}/locks/release-chunk"),
    ("get-released-imodel-locks", "GET", f"{_IMODEL}/locks/released-locks"),
    ("get-imodel-shares", "GET", f"{_IMODEL}/shares"),
    ("create-imodel-share", "POST", f"{_IMODEL}/shares"),
    # iTwins
    ("get-my-favorite-itwins", "GET", "itwins/favorites"),
    ("add-itwin-to-my-favorites", "POST", "itwins/favorites/{}"),
    ("remove-itwin-from-my-favorites", "DELETE", "itwins/favorites/{}"),
    ("get-my-recently-used-itwins", "GET", "itwins/recents"),
    ("add-itwin-to-my-recents", "POST", "itwins/recents/{}"),
    ("get-my-primary-account", "GET", "itwins/myprimaryaccount"),
    ("get-itwin-account", "GET", "itwins/{}/account"),
    ("get-itwin-image", "GET", "itwins/{}/image"),
    ("upload-itwin-image", "PUT", "itwins/{}/image"),
    ("delete-itwin-image", "DELETE", "itwins/{}/image"),
    ("get-repository-resources", "GET", "itwins/{}/repositories/{}/resources"),
    ("create-repository-resource", "POST", "itwins/{}/repositories/{}/resources"),
    ("get-repository-resource", "GET", "itwins/{}/repositories/{}/resources/{}"),
    ("delete-repository-resource", "DELETE", "itwins/{}/repositories/{}/resources/{}"),
    ("get-resource-graphics", "GET", "itwins/{}/repositories/{}/resources/{}/graphics"),
    ("create-export", "POST", "itwins/exports"),
    ("get-export", "GET", "itwins/exports/{}"),
    # Transformations
    ("get-configurations", "GET", "transformations/configurations"),
    ("create-configuration", "POST", "transformations/configurations/{}"),
    # Changed Elements
    ("create-comparison-job", "POST", "changedelements/comparisonjob"),
    ("get-comparison-job", "GET", "changedelements/comparisonjob/{}/itwin/{}/imodel/{}"),
    ("delete-comparison-job", "DELETE", "changedelements/comparisonjob/{}/itwin/{}/imodel/{}"),
    # Grouping and Mapping
    ("get-mappings", "GET", _MAPPINGS),
    ("create-mapping", "POST", _MAPPINGS),
    ("get-mapping", "GET", f"{_MAPPINGS}/{{}}"),
    ("update-mapping", "PATCH", f"{_MAPPINGS}/{{}}"),
    ("delete-mapping", "DELETE", f"{_MAPPINGS}/{{}}"),
    ("copy-mapping", "POST", f"{_MAPPINGS}/{{}}/copy"),
    ("get-groups", "GET", f"{_MAPPINGS}/{{}}/groups"),
    ("create-group", "POST", f"{_MAPPINGS}/{{}}/groups"),
    ("get-group", "GET", f"{_MAPPINGS}/{{}}/groups/{{}}"),
    # Reality Modeling and Analysis
    ("get-bucket", "GET", "reality-modeling/itwins/{}/bucket"),
    ("get-files", "GET", "reality-modeling/files"),
    ("get-detectors", "GET", "reality-analysis/detectors"),
    ("create-detector", "POST", "reality-analysis/detectors"),
    ("get-detector", "GET", _DETECTOR),
    ("update-detector", "PATCH", _DETECTOR),
    ("delete-detector", "DELETE", _DETECTOR),
    ("create-detector-version", "POST", f"{_DETECTOR}/versions"),
    ("delete-detector-version", "DELETE", f"{_DETECTOR}/versions/{{}}"),
    ("publish-detector-version", "POST", f"{_DETECTOR}/versions/{{}}/publish"),
    ("unpublish-detector-version", "POST", f"{_DETECTOR}/versions/{{}}/unpublish"),
    ("complete-detector-version", "POST", f"{_DETECTOR}/versions/{{}}/complete"),
)
"""Ids, methods and paths of operations of APIs that are emulated otherwise; ``{}`` stands for any segment."""

_BY_METHOD: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
for _id, _method, _path in NOT_EMULATED_OPERATIONS:
    _BY_METHOD.setdefault(_method, []).append((_id, tuple(_path.split("/"))))


def find_not_emulated(method: str, segments: tuple[str, ...]) -> str | None:
    """Return what the real service has at a path, or None if nothing is known of it."""
    api = NOT_EMULATED_APIS.get(segments[0].lower())
    if api is not None:
        return f"the {api} API"
    for identifier, template in _BY_METHOD.get(method, ()):
        if len(template) == len(segments) and all(
            part in ("{}", segment.lower()) for part, segment in zip(template, segments, strict=True)
        ):
            return identifier
    return None
