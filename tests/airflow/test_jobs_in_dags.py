"""Jobs in whole DAGs, run with Airflow's ``dag.test``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.jobs import REALITY_MODELING

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagResult

    RunDag = Callable[..., DagResult]

DEFERRABLE = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])

SPECIFICATIONS = {"inputs": {"scene": "3fa85f64-5717-4562-b3fc-2c963f66afa6"}, "outputs": {}}


@DEFERRABLE
def test_a_sensor_waits_for_the_job_of_an_operator(emulator: Emulator, run_dag: RunDag, deferrable: bool) -> None:
    itwin_id = emulator.add_itwin()
    result = run_dag(
        f"""
        from airflow_provider_itwin.jobs import REALITY_MODELING, ITwinRealityModelingOperator
        from airflow_provider_itwin.sensors.jobs import ITwinJobSensor

        start = ITwinRealityModelingOperator(
            task_id="start", itwin_id="{itwin_id}", name="{{{{ dag.dag_id }}}}", type="Calibration",
            specifications={SPECIFICATIONS}, wait_for_completion=False,
        )
        wait = ITwinJobSensor(
            task_id="wait", job=REALITY_MODELING, job_ref=start.output["job_ref"], deferrable={deferrable}, timeout=3600
        )

        @task
        def state(report):
            return report["state"]

        state(wait.output)
        """
    )
    assert result.states == {"start": ["success"], "wait": ["success"], "state": ["success"]}, result.log[-3000:]
    assert result.xcom("state") == "Success"
    assert result.xcom("wait") == result.xcom("wait", "job_report")


def test_an_operator_can_be_mapped_over_inputs(emulator: Emulator, run_dag: RunDag) -> None:
    itwin_id = emulator.add_itwin()
    result = run_dag(
        f"""
        from airflow_provider_itwin.jobs import ITwinRealityModelingOperator

        ITwinRealityModelingOperator.partial(task_id="model").expand(
            inputs=[
                {{"itwin_id": "{itwin_id}", "name": name, "type": "Calibration", "specifications": {SPECIFICATIONS}}}
                for name in ("Bridge", "Tunnel")
            ]
        )
        """
    )
    assert result.states == {"model": ["success", "success"]}, result.log[-3000:]
    assert len(emulator.jobs()) == 2


@DEFERRABLE
def test_a_secret_input_is_masked_everywhere(emulator: Emulator, run_dag: RunDag, deferrable: bool) -> None:
    itwin_id = emulator.add_itwin()
    secret = "a-token-that-nobody-may-see"
    result = run_dag(
        f"""
        from airflow_provider_itwin.jobs import REALITY_MODELING, JobInput
        from airflow_provider_itwin.operators.jobs import ITwinJobOperator
        from dataclasses import replace

        inputs = {{**REALITY_MODELING.inputs, "cipher": JobInput(secret=True)}}

        ITwinJobOperator(
            task_id="model", job=replace(REALITY_MODELING, inputs=inputs), deferrable={deferrable},
            itwin_id="{itwin_id}", name="Bridge", type="Calibration", specifications={SPECIFICATIONS},
            cipher="{{{{ '-'.join(['a', 'token', 'that', 'nobody', 'may', 'see']) }}}}",
        )
        """
    )
    assert result.states["model"] == ["success"], result.log[-3000:]
    # Airflow 3.0 logs, for debugging, the message that registers a secret.
    log = [line for line in result.log.splitlines() if "MaskSecret(value=" not in line]
    assert secret not in "\n".join(log)
    assert secret not in str(result.xcom("model", "job_report"))
    assert secret not in str(result.xcom("model", "job_ref"))


def test_values_of_a_mapped_task_are_not_rendered_and_its_secrets_are_not_shown(
    emulator: Emulator, run_dag: RunDag
) -> None:
    itwin_id = emulator.add_itwin()
    result = run_dag(
        f"""
        from airflow_provider_itwin.jobs import REALITY_MODELING, JobInput
        from airflow_provider_itwin.operators.jobs import ITwinJobOperator
        from dataclasses import replace

        inputs = {{**REALITY_MODELING.inputs, "cipher": JobInput(secret=True)}}

        @task
        def found():
            return [{{
                "itwin_id": "{itwin_id}", "name": "Bridge {{{{ 1 + 1 }}}}", "type": "Calibration",
                "specifications": {SPECIFICATIONS}, "cipher": "-".join(["mapped", "token", "of", "nobody"]),
            }}]

        ITwinJobOperator.partial(task_id="model", job=replace(REALITY_MODELING, inputs=inputs)).expand(inputs=found())
        """
    )
    assert result.states["model"] == ["success"], result.log[-3000:]
    # Airflow shortens long fields in the middle.
    [shown] = [fields for fields in result.rendered_fields() if '"cipher": ' in fields.replace("\\", "")]
    assert "mapped-token-of-nobody" not in shown
    assert "***" in shown
    [job] = emulator.jobs()
    details = ITwinHook().get_job(REALITY_MODELING, JobRef(REALITY_MODELING.name, job["id"])).run
    assert details is not None
    assert details.details["job"]["name"] == "Bridge {{ 1 + 1 }}"
