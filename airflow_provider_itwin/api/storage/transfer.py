"""The transfer of a content from a pre-signed URL into a part: requests with ranges, until it is whole."""

from __future__ import annotations

import logging
import threading
from typing import Protocol, TypeVar

from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinError, ITwinProtocolError, ITwinStoppedError
from airflow_provider_itwin.api.http import stopping
from airflow_provider_itwin.api.http.backoff import LONGEST_RETRY_AFTER, backoff
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Call, Flow
from airflow_provider_itwin.api.storage.blob_transport import BlobResponse, BlobTransport, as_error
from airflow_provider_itwin.api.storage.endpoints import download_file
from airflow_provider_itwin.api.storage.progress import Progress
from airflow_provider_itwin.api.storage.ranges import Answer, etag_of, judge, range_headers
from airflow_provider_itwin.api.storage.targets import FileVersion, Part

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_LINKS = 5
"""Pre-signed URLs that are refused one after the other, at most."""

_PROGRESS = 1 << 20
"""Received bytes after which the retry budget begins anew."""


class Api(Protocol):
    """The part of a client that uploads and downloads use."""

    account: Account

    def call(self, call: Call[T], retry_budget: float = ...) -> T:
        """Perform one call and return its result."""

    def run_flow(self, flow: Flow[T]) -> T:
        """Drive a flow to completion and return its result."""


class StartOver(Exception):  # noqa: N818 (not an error)
    """The received bytes are worthless."""


def check_stopped(stopped: threading.Event, what: str, received: int) -> None:
    """
    Raise an error if the task was stopped.

    :raises ITwinStoppedError: then
    """
    if stopped.is_set():
        raise ITwinStoppedError(f"The download of {what} was stopped after {received} bytes")


class Transfer:
    """
    The transfer of the content into a part: requests, until it is whole.

    :param api: the client of the API
    :param blobs: requests the content
    :param version: what is received
    :param what: the file, for texts
    :param part: receives the content
    :param progress: counts the bytes
    :param retry_budget: seconds for which temporary errors are retried while no content arrives
    :param stopped: ends the transfer early when it is set
    """

    def __init__(
        self,
        api: Api,
        blobs: BlobTransport,
        version: FileVersion,
        what: str,
        part: Part,
        progress: Progress,
        *,
        retry_budget: float,
        stopped: threading.Event,
    ) -> None:
        self._api, self._blobs, self._version, self._what = api, blobs, version, what
        self._part, self._progress, self._retry_budget, self._stopped = part, progress, retry_budget, stopped
        self._account = api.account
        self._url: str | None = None
        self._attempts = self._refused_links = 0
        self._good_at = self._account.clock()
        self._good_bytes = part.received

    def run(self) -> None:
        """
        Receive the rest of the content.

        :raises StartOver: if the received bytes are worthless
        :raises ITwinError: if that failed
        """
        is_first = True
        # An empty file, too, is requested once: only then is it known to be empty.
        while self._part.received < self._version.size or (is_first and self._version.size == 0):
            check_stopped(self._stopped, self._what, self._part.received)
            if self._url is None:
                self._url = self._api.call(download_file(self._version.file_id), self._retry_budget)
            error = self._request(self._url)
            is_first = False
            if error is not None:
                self._after(error)

    def _request(self, url: str) -> ITwinError | None:
        """Send one request; return the error that ended it early."""
        part, size = self._part, self._version.size
        headers = range_headers(part.received, part.etag)
        try:
            # One byte more than expected, to notice a content that is too long.
            with self._blobs.get(url, size - part.received + 1, headers) as response:
                judgment = judge(response, part.received, size, part.etag)
                match judgment.answer:
                    case Answer.OTHER_CONTENT:
                        raise StartOver(judgment.reason)
                    case Answer.LINK_REFUSED:
                        self._url = None
                        return self._refused(_error(response, url, is_final=True))
                    case Answer.ERROR:
                        return _error(response, url, is_final=False)
                self._stream(response)
        except ITwinConnectionError as error:
            return error
        if part.received < size:
            return ITwinConnectionError(f"The content of {self._what} ended after {part.received} of {size} bytes")
        return None

    def _stream(self, response: BlobResponse) -> None:
        part, size = self._part, self._version.size
        if part.received == 0:
            part.begin(etag_of(response.headers))
        for chunk in response.chunks():
            if part.received + len(chunk) > size:
                raise StartOver(f"the content has more than {size} bytes")
            part.write(chunk)
            self._progress.add(len(chunk))
            self._note_progress()
            check_stopped(self._stopped, self._what, part.received)

    def _note_progress(self) -> None:
        if self._part.received - self._good_bytes >= _PROGRESS:
            self._good_bytes, self._good_at = self._part.received, self._account.clock()
            self._attempts = self._refused_links = 0

    def _refused(self, error: ITwinError) -> ITwinError:
        """Count a refused URL. The first one has expired; more of them have another reason."""
        self._refused_links += 1
        if self._refused_links >= MOST_LINKS:
            error.summary += f" for {MOST_LINKS} URLs in a row"
            raise self._ended(error).with_hint(
                "Check whether the worker may access the host, and its clock. If the upload of the file was never completed, "
                "upload it again."
            )
        return error

    def _after(self, error: ITwinError) -> None:
        """Wait before the next request, or raise the error when the retry budget is used up."""
        self._attempts += 1
        if error.status is not None and self._url is None and self._refused_links == 1:
            log.info("The URL of the content of %s is no longer accepted; requesting a new one", self._what)
            return
        left = self._good_at + self._retry_budget - self._account.clock()
        seconds = backoff(self._attempts, self._account.chance(), error.retry_after)
        if left <= 0 or (error.retry_after and min(error.retry_after, LONGEST_RETRY_AFTER) > left):
            raise self._ended(error)
        seconds = min(seconds, left)
        log.warning(
            "%s Resuming the download of %s after %d of %d bytes in %.1f s.",
            error,
            self._what,
            self._part.received,
            self._version.size,
            seconds,
        )
        stopping.pause(self._stopped, seconds)

    def _ended(self, error: ITwinError) -> ITwinError:
        received, size = self._part.received, self._version.size
        error.summary = f"The download of {self._what} ended after {received} of {size} bytes: {error.summary}"
        return error


def _error(response: BlobResponse, url: str, *, is_final: bool) -> ITwinError:
    """
    Return the error for a response without content.

    :param is_final: whether the blob storage can mean it as a refusal
    """
    error = as_error(response, "GET", url)
    if error.transient or is_final:
        return error
    return ITwinProtocolError(error.summary, status=error.status, code=error.code, retry_after=error.retry_after)
