"""Job APIs of the iTwin Platform: one module for each, with its definition and its operator."""

from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages, JobSearch
from airflow_provider_itwin.api.jobs.inputs import JobInput
from airflow_provider_itwin.jobs.changed_elements import DIFF, ITwinDiffOperator
from airflow_provider_itwin.jobs.grouping_and_mapping import EXTRACTION, ITwinExtractionOperator
from airflow_provider_itwin.jobs.reality import (
    REALITY_ANALYSIS,
    REALITY_CONVERSION,
    REALITY_MODELING,
    ITwinRealityAnalysisOperator,
    ITwinRealityConversionOperator,
    ITwinRealityModelingOperator,
)
from airflow_provider_itwin.jobs.transformations import TRANSFORMATION, ITwinTransformationOperator

__all__ = [
    "DIFF",
    "EXTRACTION",
    "REALITY_ANALYSIS",
    "REALITY_CONVERSION",
    "REALITY_MODELING",
    "TRANSFORMATION",
    "ITwinDiffOperator",
    "ITwinExtractionOperator",
    "ITwinRealityAnalysisOperator",
    "ITwinRealityConversionOperator",
    "ITwinRealityModelingOperator",
    "ITwinTransformationOperator",
    "JobDefinition",
    "JobInput",
    "JobMessages",
    "JobSearch",
]
