"""
Known pitfalls of providers that start jobs and wait for them, with the tests that cover each.

The tests are elsewhere; this module checks that they exist.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

PITFALLS: dict[str, dict[str, list[str]]] = {
    "reading the Airflow connection, or masking its secrets, blocks or breaks the triggerer's event loop": {
        "airflow/triggers/test_run_trigger.py": [
            "test_a_missing_connection_in_the_supervisor_can_be_retried",
            "test_a_missing_airflow_connection_can_be_retried",
            "test_invalid_settings_fire_an_error_event",
        ],
    },
    "a blocking call in a trigger delays all other triggers": {
        "api/wait/test_poller.py": ["test_errors_are_retried_with_growing_pauses_and_do_not_delay_other_runs"],
        "airflow/triggers/test_run_trigger.py": ["test_an_unreadable_ca_bundle_fires_an_error_event"],
    },
    "a restart of the triggerer counts as killing the task, or nothing says that the remote job continues": {
        "airflow/triggers/test_run_trigger.py": [
            "test_cancelling_the_trigger_closes_everything",
            "test_on_kill_logs_that_the_run_continues",
        ],
        "airflow/operators/test_starting.py": ["test_on_kill_logs_that_the_run_continues"],
        "airflow/operators/test_durable_runs.py": ["test_a_cleared_task_starts_a_new_run_whatever_is_stored"],
    },
    "timeouts restart with the triggerer, bypass the task, or fail a job that has finished in time": {
        "airflow/triggers/test_run_trigger.py": [
            "test_a_run_that_finished_while_the_triggerer_was_down_counts_as_finished",
            "test_a_run_that_is_running_after_the_downtime_exceeds_the_deadline",
        ],
        "airflow/operators/test_limits.py": [
            "test_the_timeout_fails_the_task",
            "test_the_execution_timeout_applies_while_deferred",
        ],
        "airflow/sensors/test_settings.py": ["test_a_trigger_timeout_of_airflow_counts_as_the_timeout"],
        "crashes/test_lost_triggerers.py": ["test_a_run_that_finished_counts_although_the_timeout_passed_too"],
    },
    "a retry, a lost worker or a lost response starts the job twice": {
        "airflow/operators/test_crash_orderings.py": [
            "test_losing_one_worker_at_any_point_keeps_the_invariants",
            "test_any_sequence_of_losses_keeps_the_invariants",
        ],
        "airflow/operators/test_active.py": [
            "test_a_lost_response_adopts_the_run_that_the_request_started",
            "test_a_run_that_ended_before_the_repeated_request_is_not_started_twice",
        ],
        "airflow/operators/test_errors_while_waiting.py": ["test_an_outage_within_the_tolerance_does_not_end_the_wait"],
        "crashes/test_lost_workers.py": ["test_losing_a_worker_loses_no_run"],
        "soak/test_soak.py": ["test_no_run_is_lost_or_started_twice_and_no_resource_leaks_in_three_nights"],
    },
    "a canceled job, an unknown result or an invalid event passes for a success": {
        "airflow/operators/test_results.py": [
            "test_the_default_meaning_of_each_result",
            "test_both_spellings_of_canceled_are_accepted",
            "test_a_finished_run_without_a_result_fails",
        ],
        "airflow/operators/test_events.py": ["test_a_malformed_event_never_passes_for_success"],
        "airflow/operators/test_starting.py": ["test_does_not_defer_for_a_finished_run"],
        "airflow/sensors/test_settings.py": ["test_an_invalid_event_never_passes_for_success"],
    },
    "a token expires during a wait": {
        "api/test_drivers_tokens.py": [
            "test_a_wait_outlives_its_token",
            "test_a_token_is_renewed_before_it_expires",
            "test_a_revoked_token_is_renewed_without_a_pause",
        ],
        "airflow/operators/test_errors_while_waiting.py": [
            "test_a_secret_changed_just_before_the_start_request_is_used"
        ],
    },
    "each poll opens a session, and a rate limit or a 5xx ends the wait": {
        "airflow/triggers/test_run_trigger.py": [
            "test_many_waits_for_one_run_share_one_client_and_one_poll",
            "test_an_outage_is_logged_once_and_does_not_end_the_wait",
        ],
        "api/test_client_pool.py": ["test_nothing_is_left_open"],
        "airflow/operators/test_limits.py": ["test_a_retry_after_header_does_not_extend_the_timeout"],
    },
    "the user does not get the remote reason": {
        "airflow/sensors/test_reports.py": [
            "test_a_failed_run_has_the_same_error_text_in_each_mode",
            "test_the_error_after_an_outage_names_its_cause",
        ],
        "system/test_nightly.py": ["test_the_log_of_a_failed_run_has_the_reason_and_the_advice"],
    },
    "parameters of a trigger cannot be serialized, which fails after the job was started": {
        "airflow/triggers/test_run_trigger.py": [
            "test_the_trigger_survives_being_stored",
            "test_the_trigger_survives_the_serialization_of_airflow",
        ],
        "airflow/triggers/test_event_trigger.py": ["test_the_trigger_survives_serialization"],
    },
    "secrets in logs, in error texts and in the parameters of triggers": {
        "airflow/test_no_secret_anywhere.py": ["test_no_row_of_the_database_has_a_secret", "test_no_file_has_a_secret"],
        "airflow/triggers/test_run_trigger.py": ["test_the_stored_arguments_are_encrypted_and_have_no_secret"],
    },
    "the user does not see the log of a trigger": {
        "api/wait/test_poller.py": ["test_each_wait_logs_in_its_own_context"],
        "system/test_triggerer_only.py": ["test_the_log_of_each_waiting_task_has_the_state_changes"],
        "airflow/triggers/test_run_trigger.py": ["test_an_event_stays_small_whatever_the_size_of_the_run"],
    },
    "the state of a task is lost with its deferral, and XComs with the next attempt": {
        "airflow/operators/test_starting.py": ["test_returns_the_run_id_and_pushes_the_run_ref_in_every_mode"],
        "airflow/operators/test_durable_runs.py": [
            "test_a_retry_resumes_the_run_of_a_lost_worker",
            "test_the_state_is_kept_while_deferred",
        ],
    },
    "an error fires an event trigger and starts the DAG repeatedly; one trigger serves several assets": {
        "airflow/triggers/test_event_trigger.py": [
            "test_an_error_is_logged_once_and_neither_fires_nor_ends_the_trigger",
            "test_one_watcher_serves_all_assets_with_the_same_arguments",
        ],
    },
    "starting in the triggerer skips checks, mapping and templates": {
        "airflow/sensors/test_triggerer.py": [
            "test_the_same_outcome_when_it_starts_in_the_triggerer",
            "test_arguments_that_need_a_worker_are_rejected",
        ],
        "airflow/test_runs_in_dags.py": ["test_a_task_that_ends_in_the_triggerer_succeeds_with_dag_test"],
    },
    "a link raises, or reads the Airflow connection": {
        "airflow/test_links.py": ["test_a_link_never_raises", "test_links_send_no_request"],
    },
    "the connection form lacks fields on some versions of Airflow": {
        "airflow/test_provider_metadata.py": ["test_the_form_of_older_airflow_versions_is_the_same"],
        "airflow/hooks/test_connection_form.py": ["test_every_setting_has_a_field_with_a_description"],
    },
    "very short deferrals, events of an earlier deferral, and restarted triggerers": {
        "airflow/sensors/test_reports.py": ["test_a_finished_run_needs_no_deferral"],
        "airflow/operators/test_events.py": ["test_an_event_about_another_run_never_passes_for_success"],
        "airflow/triggers/test_run_trigger.py": ["test_a_restarted_trigger_resumes_its_wait"],
        "crashes/test_lost_triggerers.py": ["test_other_waits_resume_and_a_second_triggerer_takes_them_over"],
    },
}


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("pitfall", PITFALLS)
def test_each_known_pitfall_is_tested(pitfall: str) -> None:
    named = [(file, name) for file, names in PITFALLS[pitfall].items() for name in names]
    assert named
    assert [(file, name) for file, name in named if name not in names_in(file)] == []
