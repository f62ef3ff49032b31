"""Where the outputs of jobs of Reality Modeling, Analysis and Conversion are: their shapes depend on the output."""

from __future__ import annotations

from typing import Any

import pytest

from itwin_emulator import Emulator
from job_client import ask, reality_body, start_reality
from platform_client import Api, error_of

GUID = 36


@pytest.fixture(autouse=True)
def _itwin(emulator: Emulator) -> None:
    emulator.add_itwin("itwin")


def outputs_of(api: Api, outputs: Any, kind: str = "reality-modeling", **changes: Any) -> Any:
    specifications = {"inputs": {"scene": "s", **changes.pop("inputs", {})}, "outputs": outputs}
    if "options" in changes:
        specifications["options"] = changes.pop("options")
    return start_reality(api, kind, specifications=specifications, **changes)["specifications"]["outputs"]


def test_a_modeling_reference_has_a_location(api: Api) -> None:
    (listed,) = outputs_of(api, ["modelingReference"], type="Tiling").items()
    assert (listed[0], set(listed[1]), len(listed[1]["location"])) == ("modelingReference", {"location"}, GUID)
    asked = {"modelingReference": True, "exports": [{"format": "3DTiles"}, {"format": "OBJ"}]}
    found = outputs_of(api, asked, type="Reconstruction")
    assert len(found["modelingReference"]["location"]) == GUID
    assert [one["format"] for one in found["exports"]] == ["3DTiles", "OBJ"]
    assert len({found["modelingReference"]["location"], *(one["location"] for one in found["exports"])}) == 3


@pytest.mark.parametrize(
    ("kind", "output"),
    [("Constraints", "addedConstraintsInfo"), ("WaterConstraints", "constraints"), ("TouchUpImport", "importInfo")],
)
def test_small_outputs_are_in_the_bucket(api: Api, kind: str, output: str) -> None:
    path = outputs_of(api, [output], type=kind)[output]
    assert path.startswith("bkt:")
    assert path != outputs_of(api, [output], type=kind)[output]


def test_a_training_makes_a_version_of_a_detector(api: Api) -> None:
    def trained(**options: Any) -> Any:
        inputs = {"detectorName": "@acme/poles", "segmentations3D": ["s"]}
        return outputs_of(
            api, ["detector"], "reality-analysis", type="TrainingS3D", inputs=inputs, options=options or None
        )

    assert trained(versionNumber="2.0") == {"detector": "@acme/poles/2.0"}
    assert trained() == {"detector": "@acme/poles/1.0"}


def test_what_is_not_asked_for_is_absent(api: Api) -> None:
    for nothing in (None, False):
        found = outputs_of(api, {"modelingReference": nothing, "exports": [{"format": "OBJ"}]}, type="Reconstruction")
        assert set(found) == {"exports"}
    assert set(outputs_of(api, {"modelingReference": True, "exports": None}, type="Reconstruction")) == {
        "modelingReference"
    }


def test_names_of_outputs_begin_with_a_small_letter(api: Api) -> None:
    assert set(outputs_of(api, ["Objects2D"], "reality-analysis")) == {"objects2D"}


@pytest.mark.parametrize("outputs", [None, ["scene"]])
def test_a_conversion_has_one_output(api: Api, outputs: Any) -> None:
    specifications = {"inputs": {"pointCloud": "p"}, "options": {"outputFormat": "OPC"}}
    if outputs is not None:
        specifications["outputs"] = outputs
    job = start_reality(api, "reality-conversion", specifications=specifications)
    assert len(job["specifications"]["output"]) == GUID


@pytest.mark.parametrize(
    "kind", ["ClearanceCalculation", "ClearanceChecker", "ClearanceFootprint", "TrainingS3D", "ChangeDetection"]
)
def test_types_of_analysis(api: Api, kind: str) -> None:
    assert start_reality(api, "reality-analysis", type=kind)["type"] == kind


@pytest.mark.parametrize("kind", ["calibration", "Objects2D", 2])
def test_an_unknown_type_is_a_bad_request(api: Api, kind: Any) -> None:
    answer = ask(api, "POST", "/reality-modeling/jobs", reality_body("reality-modeling", type=kind, name="ab"))
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (400, "InvalidRealityModelingRequest")
    assert [(one["code"], one["target"]) for one in error["details"]] == [("InvalidProperty", "type")]


@pytest.mark.parametrize("api_name", ["reality-modeling", "reality-analysis", "reality-conversion"])
def test_a_doubled_slash_counts_as_one(api: Api, api_name: str) -> None:
    answer = ask(api, "POST", f"/{api_name}//jobs", reality_body(api_name))
    assert answer.status_code == 201, answer.text
    for path in ("", "/progress", "/messages"):
        assert ask(api, "GET", f"/{api_name}//jobs/{answer.json()['job']['id']}{path}").status_code == 200
