"""
What users of other providers that start something and wait for it have run into: each pitfall, and what keeps us out of it.

A table rather than tests of its own: what is tested well where it belongs is not tested again here, but it is checked that the
tests named here exist.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

PITFALLS: dict[str, dict[str, list[str]]] = {
    "reading the Airflow connection, or masking its secrets, blocks or breaks the triggerer's event loop": {
        "airflow/test_run_trigger.py": [
            "test_nor_when_the_triggerer_asks_a_supervisor_for_it",
            "test_an_airflow_connection_that_is_not_there_can_be_retried",
            "test_settings_that_make_no_sense_are_a_refusal_and_no_breakdown",
        ],
    },
    "blocking calls in a trigger hold up all others": {
        "api/test_poller.py": ["test_trouble_is_ridden_out_with_growing_pauses_and_does_not_hold_up_others"],
        "airflow/test_run_trigger.py": ["test_a_bundle_of_authorities_that_cannot_be_read_is_no_breakdown"],
    },
    "a restarted triggerer is taken for somebody who kills the task, or nobody says that the remote job goes on": {
        "airflow/test_run_trigger.py": [
            "test_is_cancelled_cleanly",
            "test_says_when_it_is_killed_that_the_run_goes_on",
        ],
        "airflow/run_operator/test_starting.py": ["test_tells_on_kill_that_the_run_goes_on"],
        "airflow/test_durable_runs.py": ["test_a_cleared_task_starts_a_new_run_whatever_is_kept"],
    },
    "time limits begin anew with the triggerer, bypass the task, or fail a job that has ended in time": {
        "airflow/test_run_trigger.py": [
            "test_a_run_that_ended_while_the_triggerer_was_down_counts_as_ended",
            "test_a_run_that_goes_on_when_the_triggerer_is_back_is_overdue",
        ],
        "airflow/run_operator/test_limits.py": [
            "test_the_time_limit",
            "test_the_execution_timeout_holds_while_deferred",
        ],
        "airflow/run_sensor/test_settings.py": ["test_a_limit_of_airflow_itself_is_a_time_limit_too"],
        "crashes/test_lost_triggerers.py": ["test_a_run_that_ended_counts_although_the_limit_passed_too"],
    },
    "a retry, a lost worker or a lost answer starts the job a second time": {
        "airflow/test_crash_orderings.py": ["test_every_moment_of_one_loss", "test_any_order_of_losses"],
        "airflow/run_operator/test_active.py": [
            "test_takes_the_run_that_it_started_itself_for_its_own_when_the_answer_is_lost",
            "test_a_run_that_ends_before_its_lost_answer_is_asked_for_again_is_not_started_twice",
        ],
        "airflow/run_operator/test_trouble.py": ["test_rides_out_an_outage_while_waiting"],
        "crashes/test_lost_workers.py": ["test_no_lost_worker_loses_a_run"],
        "soak/test_soak.py": ["test_three_nights_lose_nothing_start_nothing_twice_and_leave_nothing_behind"],
    },
    "a canceled job, an unknown result or an event that makes no sense passes for a success": {
        "airflow/run_operator/test_results.py": [
            "test_what_each_result_means_by_default",
            "test_either_spelling_of_canceled",
            "test_a_finished_run_without_a_result_fails",
        ],
        "airflow/run_operator/test_events.py": ["test_a_broken_event_never_passes_for_success"],
        "airflow/run_operator/test_starting.py": ["test_does_not_defer_for_a_run_that_has_ended_already"],
        "airflow/run_sensor/test_settings.py": ["test_an_event_that_makes_no_sense_never_passes_for_success"],
    },
    "a token expires in the middle of a wait": {
        "api/test_drivers_tokens.py": [
            "test_a_wait_outlives_its_token",
            "test_a_token_is_renewed_ahead_of_its_end",
            "test_a_token_that_was_revoked_is_replaced_in_passing",
        ],
        "airflow/run_operator/test_trouble.py": ["test_uses_a_secret_that_is_changed_just_before_it_asks_for_its_run"],
    },
    "each poll opens a session, and a limit of requests or a 5xx ends the wait": {
        "airflow/test_run_trigger.py": [
            "test_many_that_wait_share_one_client_and_one_look",
            "test_rides_out_an_outage_and_says_so_once",
        ],
        "api/test_sharing.py": ["test_nothing_is_left_open"],
        "airflow/run_operator/test_limits.py": ["test_being_told_to_hold_off_does_not_put_the_time_limit_off"],
    },
    "the remote reason is lost on its way to the user": {
        "airflow/run_sensor/test_reports.py": [
            "test_a_failed_run_reads_the_same_in_each_mode",
            "test_an_outage_says_what_was_in_the_way",
        ],
        "system/test_nightly.py": ["test_the_log_tells_why_and_what_can_be_done"],
    },
    "parameters of a trigger cannot be written down, which is found out after the job was started": {
        "airflow/test_run_trigger.py": [
            "test_survives_being_written_down",
            "test_survives_the_serialization_of_airflow",
        ],
        "airflow/test_event_trigger.py": ["test_survives_being_written_down"],
    },
    "secrets in logs, in texts and in the parameters of triggers": {
        "airflow/test_no_secret_anywhere.py": ["test_no_row_of_the_database_holds_one", "test_no_file_holds_one"],
        "airflow/test_run_trigger.py": ["test_what_it_knows_is_encrypted_and_holds_no_secret"],
    },
    "what a trigger logs is not seen by the user": {
        "api/test_poller.py": ["test_what_is_logged_for_a_wait_is_logged_in_its_own_context"],
        "system/test_triggerer_only.py": ["test_state_changes_are_told_in_the_log_of_each_task_that_waits"],
        "airflow/test_run_trigger.py": ["test_an_event_stays_small_whatever_the_size_of_the_run"],
    },
    "what a task knew before its deferral is gone after it, and XComs are gone with the next try": {
        "airflow/run_operator/test_starting.py": ["test_gives_the_run_id_and_pushes_its_name_in_every_mode"],
        "airflow/test_durable_runs.py": [
            "test_a_retry_goes_on_with_the_run_that_a_lost_worker_was_waiting_for",
            "test_keeps_it_while_deferred",
        ],
    },
    "an error fires an event trigger, and starts the DAG again and again; one trigger serves several assets": {
        "airflow/test_event_trigger.py": [
            "test_trouble_fires_nothing_ends_nothing_and_is_told_once",
            "test_one_watcher_serves_all_assets_that_are_watched_alike",
        ],
    },
    "starting in the triggerer skips checks, mapping and templates": {
        "airflow/run_sensor/test_triggerer.py": [
            "test_the_same_outcome_when_it_starts_in_the_triggerer",
            "test_cannot_start_with_what_only_a_worker_can_work_out",
        ],
        "airflow/test_runs_in_dags.py": ["test_a_task_that_its_trigger_has_ended_ends_well_under_dag_test_too"],
    },
    "a link that breaks down, or asks for the Airflow connection": {
        "airflow/test_links.py": ["test_a_link_never_breaks_down", "test_an_operator_asks_nobody_for_its_links"],
    },
    "the connection form lacks fields on some versions of Airflow": {
        "airflow/test_provider_metadata.py": ["test_the_form_of_older_airflows_says_the_same"],
        "airflow/test_connection_form.py": ["test_every_setting_has_a_field_that_says_what_it_is"],
    },
    "very short deferrals, events of an earlier deferral, and triggerers that come and go": {
        "airflow/run_sensor/test_reports.py": ["test_does_not_defer_for_a_run_that_has_ended"],
        "airflow/run_operator/test_events.py": ["test_the_end_of_another_run_never_passes_for_that_of_ours"],
        "airflow/test_run_trigger.py": ["test_goes_on_where_it_was_after_a_restart"],
        "crashes/test_lost_triggerers.py": ["test_the_other_waits_go_on_and_a_second_triggerer_takes_them_over"],
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
