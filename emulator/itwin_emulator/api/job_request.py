"""What the operations on jobs have in common: finding and starting a job, checking a body, pages with continuation tokens."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from itwin_emulator.api.request import PAGE_LIMIT, ApiRequest
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import IModel
from itwin_emulator.domain.job_inputs import without_secrets
from itwin_emulator.domain.job_kinds import JobKind
from itwin_emulator.domain.jobs import Job
from itwin_emulator.http import errors, sas
from itwin_emulator.http.errors import ApiError, invalid_value, missing_parameter, missing_property
from itwin_emulator.http.responses import Response, encode, encode_page

Details = list[Mapping[str, Any]]
T = TypeVar("T")
DEFAULT_PAGE = 100


@dataclass(frozen=True, slots=True)
class JobApi:
    """
    An API with jobs, and its errors.

    :param invalid: code of the error for an invalid request
    :param missing: code and message of the 404
    :param malformed_status: status for a body that is no JSON object
    :param invalid_status: status for invalid values
    """

    kind: JobKind
    invalid: str
    missing: tuple[str, str]
    malformed_status: int = 422
    invalid_status: int = 422

    def not_found(self) -> ApiError:
        """Return the 404 for a job that does not exist or is not visible to the client."""
        return ApiError(404, *self.missing)

    def rejected(self, details: Details, message: str = "Cannot perform operation.") -> ApiError:
        """Return the error for invalid values."""
        return ApiError(self.invalid_status, self.invalid, message, details)

    def body(self, request: ApiRequest) -> dict[str, Any]:
        """
        Return the decoded body.

        :raises ApiError: the body is missing or not a JSON object
        """
        try:
            return request.json(self.invalid)
        except ApiError as error:
            error.status = self.malformed_status
            raise

    def check_ids(self, request: ApiRequest) -> None:
        """Raise an error if an id in the path is malformed."""
        invalid = [name for name, value in request.params.items() if not ids.is_valid(value)]
        if invalid:
            raise self.rejected([invalid_value(name) for name in invalid])

    def find(self, request: ApiRequest, parameter: str = "jobId") -> Job:
        """
        Return the job in the path.

        :raises ApiError: the id is malformed, or the job does not exist or is not visible to the client
        """
        self.check_ids(request)
        request.store.collect_job_results()
        job = request.store.jobs.find(self.kind.name, request.params[parameter])
        if job is None or not can_read(request, job):
            raise self.not_found()
        return job

    def start(
        self,
        request: ApiRequest,
        itwin_id: str,
        inputs: dict[str, Any],
        *,
        imodel_id: str | None = None,
        subject: str | None = None,
        previous: Job | None = None,
    ) -> Job:
        """Start a job of this API."""
        store = request.store
        plan = store.jobs.next_plan(self.kind.name, (subject, imodel_id, itwin_id))
        job = Job(
            ids.guid(),
            self.kind.name,
            itwin_id,
            store.clock.now(),
            plan,
            store.clock.speed,
            request.client.id,
            imodel_id=imodel_id,
            subject=subject,
            inputs=without_secrets(inputs),
            previous=previous,
        )
        store.jobs.add(job)
        return job

    def page(
        self,
        request: ApiRequest,
        name: str,
        entities: Sequence[T],
        serialize: Callable[[T], dict[str, Any]],
        *,
        continued_by: str,
        smallest: int = 1,
        repeated: Sequence[str] = (),
        always_links: bool = False,
    ) -> Response:
        """
        Return a page of a list, with a link to the next one.

        :param continued_by: name of the parameter with the continuation token
        :param smallest: smallest page size
        :param repeated: query parameters that the link repeats
        :param always_links: whether the last page has links, too
        """
        top = request.query.get("$top", str(DEFAULT_PAGE))
        start = _read_token(request.query.get(continued_by.lower()))
        details: Details = []
        if not (top.isascii() and top.isdigit() and len(top) < 10 and smallest <= int(top) <= PAGE_LIMIT):
            details.append(invalid_value("$top", f"The page size must be between {smallest} and {PAGE_LIMIT}."))
        if start is None:
            details.append(invalid_value(continued_by))
        if details or start is None:
            raise self.rejected(details)
        end = start + int(top)
        links: dict[str, Any] = {}
        query = request.repeated((*repeated, "$top"))
        if always_links:
            links["self"] = {
                "href": request.serializer.link(f"{request.path}?{query}{continued_by}={_make_token(start)}")
            }
        if end < len(entities):
            links["next"] = {
                "href": request.serializer.link(f"{request.path}?{query}{continued_by}={_make_token(end)}")
            }
        page = [serialize(one) for one in entities[start:end]]
        if not links and not always_links:
            return Response(200, {name: page})
        return Response(200, encode_page(name, [encode(one) for one in page], links))


def can_read(request: ApiRequest, job: Job) -> bool:
    """Return whether the client has a role in the iTwin of a job."""
    return request.store.itwin_role(request.client, job.itwin_id) is not None


def check_writable(request: ApiRequest, itwin_id: str) -> None:
    """Raise a 403 if the client may change nothing in an iTwin."""
    if request.store.itwin_role(request.client, itwin_id) in (None, "reader"):
        raise errors.insufficient_permissions()


def visible_imodel(request: ApiRequest, imodel_id: str) -> IModel:
    """
    Return an iModel.

    :raises ApiError: it does not exist or is not visible to the client
    """
    imodel = request.store.imodels.get(imodel_id)
    if imodel is None or request.store.role(request.client, imodel_id) is None:
        raise errors.imodel_not_found()
    return imodel


def required_text(body: Mapping[str, Any], name: str, details: Details, action: str) -> str:
    """Return a property that must be a non-empty string; append a detail otherwise."""
    value = body.get(name)
    if value is None:
        details.append(missing_property(name, action))
    elif not isinstance(value, str) or not value:
        details.append(invalid_value(name))
    else:
        return value
    return ""


def required_query(request: ApiRequest, name: str, details: Details) -> str:
    """Return a query parameter that must be an id; append a detail otherwise."""
    value = request.query.get(name.lower())
    if value is None:
        details.append(missing_parameter(name))
    elif not ids.is_valid(value):
        details.append(invalid_value(name))
    return value or ""


def result_url(request: ApiRequest, job: Job) -> str | None:
    """Return a pre-signed URL of the result of a job, or None if it has none. It is a secret."""
    blob_id = job.result.get("blob")
    if blob_id is None:
        return None
    store = request.store
    expires = store.clock.service_time() + store.quirks.url_lifetime
    return sas.signed_url(request.origin, store.storage.key, job.itwin_id, blob_id, "r", expires)


def user_of(job: Job) -> str:
    """Return the id of the user that started a job."""
    return ids.derived_guid("user", job.creator)


def _make_token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"from:{offset}".encode()).decode().rstrip("=")


def _read_token(token: str | None) -> int | None:
    if token is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except ValueError:
        return None
    offset = text.removeprefix("from:")
    return int(offset) if text != offset and offset.isascii() and offset.isdigit() and len(offset) < 10 else None
