"""The part of the hook that works with jobs of any API of the iTwin Platform."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.errors import (
    ITwinConnectionError,
    ITwinError,
    ITwinInputError,
    ITwinJobNotFinishedError,
)
from airflow_provider_itwin.api.http.messages import Flow, Pause
from airflow_provider_itwin.api.jobs.definition import JobDefinition
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.jobs.report import is_link
from airflow_provider_itwin.hooks.base import ITwinBaseHook
from airflow_provider_itwin.hooks.settings import outage_tolerance

if TYPE_CHECKING:
    from os import PathLike

    from airflow_provider_itwin.api.client import ITwinClient
    from airflow_provider_itwin.api.jobs.polling import JobPollResult
    from airflow_provider_itwin.api.jobs.start import JobStart, StartedJob
    from airflow_provider_itwin.api.storage.blob_transport import BlobTransport
    from airflow_provider_itwin.api.storage.targets import Part, Target

_LARGEST_RESULT = 1 << 42
_MOST_DOWNLOADS = 3


class ITwinJobMethods(ITwinBaseHook):
    """Methods of :class:`~airflow_provider_itwin.hooks.itwin.ITwinHook` about jobs."""

    def start_job(
        self,
        job: JobDefinition,
        inputs: Mapping[str, object],
        *,
        start: JobStart | None = None,
        save: Callable[[JobStart], None] | None = None,
    ) -> StartedJob:
        """
        Start a job, unless an earlier request has started it.

        Mirrors the start request of the definition.

        :param job: the job API
        :param inputs: the inputs of the job, by name
        :param start: what `save` received last, in this process or an earlier one; None for a new job
        :param save: called before the request, with what is needed to find the job later; None: nothing is saved
        :return: the job, and whether it was created or found
        :raises ITwinJobStartInDoubtError: if it is unknown whether a job was started, and a second one could do harm
        :raises ITwinError: if no job was started
        :raises ValueError: for an invalid input
        """
        from airflow_provider_itwin.api.jobs.start import ensure_job

        current = start

        def save_start(changed: JobStart) -> None:
            nonlocal current
            current = changed
            if save is not None:
                save(changed)

        # With a changed secret, another client resumes where the first one stopped.
        return self.with_client(
            lambda client: client.run_flow(ensure_job(client.account, job, inputs, current, save_start))
        )

    def get_job(self, job: JobDefinition, ref: JobRef) -> JobPollResult:
        """
        Return the state of a job, and all of it once it has ended.

        Mirrors the poll request of the definition.

        :param job: the job API
        :param ref: the job
        :raises ITwinError: if the service does not return the job
        """
        from airflow_provider_itwin.api.jobs.polling import poll_job

        return self.with_client(lambda client: client.run_flow(poll_job(client.account, job, ref)))

    def cancel_job(self, job: JobDefinition, ref: JobRef) -> None:
        """
        Cancel a running job.

        Mirrors the cancel request of the definition.

        :param job: the job API
        :param ref: the job
        :raises ITwinError: if the service does not cancel the job, for example because it has ended
        :raises ValueError: if the API cannot cancel a job
        """
        from airflow_provider_itwin.api.jobs.calls import cancel_job

        call = cancel_job(job, ref)
        self.with_client(lambda client: client.call(call, _CANCEL_BUDGET))

    async def cancel_job_async(self, job: JobDefinition, ref: JobRef) -> None:
        """
        Cancel a running job from the triggerer; see :meth:`cancel_job`.

        :param job: the job API
        :param ref: the job
        :raises ITwinError: if the service does not cancel the job
        :raises ValueError: if the API cannot cancel a job
        """
        from airflow_provider_itwin.api.jobs.calls import cancel_job

        call = cancel_job(job, ref)
        async with self.async_client() as client:
            await client.call(call, _CANCEL_BUDGET)

    def download_job_result(self, job: JobDefinition, ref: JobRef, path: str | PathLike[str]) -> str:
        """
        Write the result of a job to a file, which gets its name when it is whole.

        A result that is a file is downloaded, without our token; any other is written as JSON.

        :param job: the job API
        :param ref: the job, which must have succeeded
        :param path: an absolute path, or the URL of an object store; with ``/`` at the end, the folder of the file
        :return: where the file is
        :raises ITwinJobNotFinishedError: if the job has not ended, or has no result
        :raises ITwinError: if the result was not read or written
        :raises ValueError: for an invalid path
        """
        from airflow_provider_itwin.hooks.download_targets import DownloadTargets

        targets = DownloadTargets(path)

        def write(client: ITwinClient) -> str:
            result = self._result(client, job, ref)
            suffix = "" if is_link(result) else ".json"
            target = targets.target_for(f"{job.name.replace(' ', '-')}-{ref.job_id}{suffix}", ref.job_id)
            if not suffix:
                self._download(client, job, ref, result, target)
            else:
                _write(target, ref, json.dumps(result, ensure_ascii=False, indent=1).encode())
            return target.address

        return self.with_client(write)

    def _result(self, client: ITwinClient, job: JobDefinition, ref: JobRef) -> Any:
        from airflow_provider_itwin.api.jobs.polling import poll_job

        if job.result is None:
            raise ITwinInputError(f"The {job.name} has no result that could be written to a file")
        polled = client.run_flow(poll_job(client.account, job, ref, outage_tolerance()))
        result = polled.run.result if polled.run else None
        if result is None:
            raise ITwinJobNotFinishedError(f"{ref} is {polled.summary.state} and has no result")
        return result

    def _download(self, client: ITwinClient, job: JobDefinition, ref: JobRef, link: str, target: Target) -> None:
        """Download a file by a pre-signed link; each attempt asks for a new link, because links expire."""
        from airflow_provider_itwin.api.storage.blob_transport import BlobTransport
        from airflow_provider_itwin.api.storage.targets import FileVersion

        with closing(BlobTransport(client.account)) as blobs:
            for attempt in range(_MOST_DOWNLOADS):
                try:
                    with target.open_part(FileVersion(ref.job_id, None, 0)) as part:
                        part.begin(None)
                        _receive(blobs, link, part)
                        part.commit()
                except ITwinError as error:
                    if attempt + 1 == _MOST_DOWNLOADS or not (error.transient or error.status == 403):
                        raise
                    self.log.warning("The download of the result of %s failed; trying again. %s", ref, error)
                    client.run_flow(_pause(2.0**attempt))
                    link = self._result(client, job, ref)
                else:
                    return


_CANCEL_BUDGET = 20.0
"""Seconds for which a cancellation is retried: Airflow gives a killed task little time."""


def _pause(seconds: float) -> Flow[None]:
    yield Pause(seconds)


def _receive(blobs: BlobTransport, link: str, part: Part) -> None:
    from airflow_provider_itwin.api.storage.blob_transport import as_error

    with blobs.get(link, _LARGEST_RESULT) as response:
        if response.status != 200:
            raise as_error(response, "GET", link)
        for chunk in response.chunks():
            part.write(chunk)
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) != part.received:
        raise ITwinConnectionError(f"The result has {announced} bytes, of which only {part.received} were received")


def _write(target: Target, ref: JobRef, content: bytes) -> None:
    from airflow_provider_itwin.api.storage.targets import FileVersion

    with target.open_part(FileVersion(ref.job_id, None, len(content))) as part:
        part.begin(None)
        part.write(content)
        part.commit()
