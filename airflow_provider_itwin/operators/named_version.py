"""The operator that names the state of an iModel that a run has produced."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_itwin.api.errors import ITwinInputError, ITwinProtocolError
from airflow_provider_itwin.api.models.json_types import NamedVersionDict
from airflow_provider_itwin.api.models.validation import checked_id, checked_text
from airflow_provider_itwin.api.models.version_names import (
    IfNamed,
    OnNoChanges,
    checked_description,
    checked_if_named,
    checked_name,
    checked_on_no_changes,
)
from airflow_provider_itwin.api.runs.result_policy import Outcome, ResultPolicy
from airflow_provider_itwin.exceptions import ITwinPermanentError, airflow_exceptions, error_logged_first
from airflow_provider_itwin.links import ITwinIModelLink, ITwinRunLink, write_links
from airflow_provider_itwin.sdk_compat import AirflowSkipException, BaseOperator, XComArg, XComNotFound
from airflow_provider_itwin.utils.lineage import LineageTask
from airflow_provider_itwin.utils.parameters import CheckedParameters, error_names_task, is_literal
from airflow_provider_itwin.utils.run_outcome import REPORT_KEY
from airflow_provider_itwin.utils.run_refs import check_run_ref, kind_of, parse_run_ref, report_in

if TYPE_CHECKING:
    from jinja2 import Environment

    from airflow_provider_itwin.api.imodels.run_changes import Unclear
    from airflow_provider_itwin.api.models.imodels import Changeset
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.hooks.itwin import ITwinHook
    from airflow_provider_itwin.sdk_compat import Context
    from airflow_provider_itwin.utils.openlineage import Lineage

__all__ = ["ITwinCreateNamedVersionOperator"]

_TEXTS = ("name", "description")
"""The parameters whose templates know `run_report`."""

_MOST_CANDIDATES = 5


class ITwinCreateNamedVersionOperator(LineageTask, CheckedParameters, BaseOperator):
    """
    Name the state of an iModel that a run has produced.

    Mirrors ``create-imodel-named-version``.

    The named version is on the newest changeset that the run has pushed, never on that of another run or of a person. If it is
    unclear which one that is, the task fails and lists the candidates: choose one with `changeset_id`.

    A run that failed can have pushed changesets. With the default trigger rule, this task then does not run. With another one,
    such as ``all_done``, the state is named, and a warning is logged.

    XCom: ``return_value``, a dict with `id`, `name`, `imodel_id`, `changeset_id`, `changeset_index` and `created`.

    Asset events of `outlets` contain the named version; an ``AssetAlias`` becomes the asset of the newest named version of the
    iModel.

    :param run_ref: the run (templated): the XCom ``run_ref`` of a run operator, as in ``synchronize.output["run_ref"]``, the
        output of a sensor, or a dict with `kind`, `connection_id` and `run_id`. The run must have ended
    :param name: name of the named version, at most 255 characters (templated). Its template knows ``run_report``, the report of
        the run, if `run_ref` is the output of an operator or a sensor of this package that has waited for the run
    :param description: description, at most 255 characters (templated as `name`); None (default): none
    :param imodel_id: id of the iModel (templated); None (default): that of the connection
    :param changeset_id: id or index of the changeset to name, in place of the newest one of the run (templated); None (default),
        or an empty text: the newest one of the run
    :param on_no_changes: what to do if the run has pushed no changeset, because no file had changed. ``skip`` (default): skip the
        task. ``pass``: succeed, with None as output. ``fail``: fail the task
    :param if_named: what to do if the changeset has a named version of another name. ``use`` (default): log a warning, and return
        that one. ``fail``: fail the task
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :return: the named version, as in the XCom ``return_value``; None if the run has pushed no changeset and `on_no_changes` is
        ``pass``
    :raises ITwinTransientError: if the service had no good response, or the run has not ended; can be retried
    :raises ITwinPermanentError: if it cannot be told what the run has pushed, for a name that belongs to another changeset, for a
        changeset with another name if `if_named` is ``fail``, for a run without changesets if `on_no_changes` is ``fail``, for
        refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises AirflowSkipException: if the run has pushed no changeset and `on_no_changes` is ``skip``
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    template_fields: Sequence[str] = ("run_ref", "name", "description", "imodel_id", "changeset_id", "itwin_conn_id")
    operator_extra_links = (ITwinRunLink(), ITwinIModelLink())
    ui_color = "#d6ecd8"

    has_links = False
    """Whether the links of the task are written."""

    _known_imodel_id: str | None = None
    """The id of the iModel, which OpenLineage asks for later, in the process that ends the task."""

    _version: NamedVersionDict | None = None
    """The output, for OpenLineage, too."""

    def __init__(
        self,
        *,
        run_ref: Mapping[str, object] | str | XComArg,
        name: str | XComArg,
        description: str | XComArg | None = None,
        imodel_id: str | XComArg | None = None,
        changeset_id: str | XComArg | None = None,
        on_no_changes: OnNoChanges = "skip",
        if_named: IfNamed = "use",
        itwin_conn_id: str = "itwin_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with error_names_task(type(self), self.task_id):
            self.check_parameters(
                {
                    "run_ref": run_ref,
                    "name": name,
                    "description": description,
                    "imodel_id": imodel_id,
                    "changeset_id": changeset_id,
                    "on_no_changes": on_no_changes,
                    "if_named": if_named,
                    "itwin_conn_id": itwin_conn_id,
                }
            )
        self.run_ref: Any = run_ref
        self.name: Any = name
        self.description: Any = description
        self.imodel_id: Any = imodel_id
        self.changeset_id: Any = changeset_id
        self.on_no_changes = on_no_changes
        self.if_named = if_named
        self.itwin_conn_id = itwin_conn_id
        # The task that pushes the reference of a run pushes the report, too.
        upstream = getattr(run_ref, "operator", None) if isinstance(run_ref, XComArg) else None
        self._report = None if upstream is None else XComArg(upstream, REPORT_KEY)
        self._rendered: dict[str, tuple[Any, Any]] = {}

    @classmethod
    def check_parameters(cls, given: Mapping[str, object], default_args: Mapping[str, object] | None = None) -> None:
        """Check the parameters that a DAG file has given; see the base class."""
        super().check_parameters(given, default_args)
        if "run_ref" in given:
            check_run_ref(given["run_ref"])
            _check_kind(given["run_ref"])
        if "name" in given and (given["name"] is None or is_literal(given["name"])):
            checked_name(given["name"], is_rendered=False)
        if is_literal(given.get("description")):
            checked_description(given["description"])
        for name in ("imodel_id", "changeset_id"):
            if is_literal(given.get(name)) and not (name == "changeset_id" and given[name] == ""):
                checked_id(given[name], name, is_rendered=False)
        checked_on_no_changes(given.get("on_no_changes", "skip"))
        checked_if_named(given.get("if_named", "use"))

    @cached_property
    def hook(self) -> ITwinHook:
        """The hook of the task's Airflow connection."""
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        return ITwinHook(self.itwin_conn_id)

    def render_template(
        self, content: object, context: Context, jinja_env: Environment | None = None, seen_oids: set[int] | None = None
    ) -> object:
        """
        Render a value; name and description with `run_report` at hand.

        Airflow calls this for each field of plain and of mapped tasks. Airflow 2 leaves the template in the field if the result
        is empty, so results are kept here, too.
        """
        fields = [field for field in self.template_fields if content is not None and content is getattr(self, field)]
        if isinstance(content, str) and REPORT_KEY in content and not {*fields}.isdisjoint(_TEXTS):
            # The context itself is not changed: Airflow uses it for all fields, and in the task.
            report = self._run_report(context, jinja_env, fields[0])
            context = cast("Context", ChainMap({REPORT_KEY: report}, cast("dict[str, Any]", context)))
        rendered = super().render_template(content, context, jinja_env, seen_oids)
        self._rendered = self._rendered | dict.fromkeys(fields, (content, rendered))
        return rendered

    def _run_report(self, context: Context, jinja_env: Environment | None, field: str) -> Mapping[str, Any]:
        """Return the report of the run, for templates."""
        report: Any = report_in(self._value("run_ref"))
        if report is None and self._report is not None:
            try:
                report = super().render_template(self._report, context, jinja_env)
            except XComNotFound:
                report = None
        if not isinstance(report, Mapping):
            raise ITwinPermanentError(
                f"The template of {field} uses {REPORT_KEY}, but there is no report of the run. There is one if run_ref is "
                "the output of a run operator that waits, as in run_ref=synchronize.output['run_ref'], or that of a "
                "sensor, as in run_ref=wait.output."
            )
        return report

    def _value(self, field: str) -> Any:
        """Return a template field as it was rendered."""
        value = getattr(self, field)
        template, rendered = self._rendered.get(field, (None, None))
        return rendered if template is not None and value is template else value

    def execute(self, context: Context) -> NamedVersionDict | None:
        """Find the changeset of the run, and name it."""
        with error_logged_first(self.log), airflow_exceptions():
            checked_text(self._value("itwin_conn_id"), "itwin_conn_id")
            name = checked_name(self._value("name"))
            description = checked_description(self._value("description"))
            ref = parse_run_ref(self._value("run_ref"))
            _check_kind(ref.as_dict())
            chosen = self._value("changeset_id")
            if chosen not in (None, ""):
                checked_id(chosen, "changeset_id")
            imodel_id = self._known_imodel_id = self._find_imodel(context, ref)
            changeset = self.hook.get_changeset(imodel_id, chosen) if chosen else self._find_changeset(ref, imodel_id)
            if changeset is None:
                self._end_without_changes(ref, imodel_id)
                return None
            result = self.hook.create_named_version(
                imodel_id, name, changeset.id or "", description, checked_if_named(self.if_named)
            )
            version = result.version
            index = version.changeset_index if version.changeset_index is not None else changeset.index
            output = NamedVersionDict(
                id=version.id or "",
                name=_shown(version.name or version.display_name or name),
                imodel_id=imodel_id,
                changeset_id=changeset.id or "",
                changeset_index=index,
                created=result.created,
            )
            self.log.info(
                "%s named version %r (%s) on changeset %s (index %s) of iModel %s",
                "Created" if result.created else "Found",
                output["name"],
                output["id"],
                output["changeset_id"],
                index,
                imodel_id,
            )
            self._version = output
            self._add_to_events(context, output)
            return output

    def _openlineage(self, *, failed: bool) -> Lineage:
        from airflow_provider_itwin.utils.openlineage import lineage_of_named_version

        return lineage_of_named_version(self.hook, self._known_imodel_id, self._version)

    def _add_to_events(self, context: Context, version: NamedVersionDict) -> None:
        """Add the named version to the asset events of the outlets; an alias becomes the newest version of the iModel."""
        if not self.outlets:
            return
        from airflow_provider_itwin.assets import NAMED_VERSION_KEY, add_to_events, named_version_asset

        host = self.hook.get_conn().account.environment.api
        add_to_events(
            context,
            self.outlets,
            NAMED_VERSION_KEY,
            version,
            lambda: named_version_asset(version["imodel_id"], host=host),
        )

    def _find_imodel(self, context: Context, ref: RunRef) -> str:
        """Return the id of the iModel of the run; one that was given must be the same."""
        given = self._value("imodel_id")
        if given is not None:
            checked_id(given, "imodel_id")
        connection = self.hook.describe_connection(ref.connection_id, ref.kind)
        imodel_id = given or connection.imodel_id
        if imodel_id is None:
            raise ITwinProtocolError(
                f"The service does not name the iModel of {ref.kind} connection {ref.connection_id}",
                hint="If this lasts, set imodel_id.",
            )
        if connection.imodel_id is not None and connection.imodel_id.lower() != imodel_id.lower():
            raise ITwinInputError(
                f"imodel_id is {imodel_id}, but {ref.kind} connection {ref.connection_id} belongs to iModel "
                f"{connection.imodel_id}. Remove imodel_id: it is then that of the connection."
            )
        write_links(self, context, self.hook, ref, itwin_id=connection.itwin_id, imodel_id=imodel_id)
        return str(imodel_id)

    def _find_changeset(self, ref: RunRef, imodel_id: str) -> Changeset | None:
        """Return the newest changeset of the run; None if it has pushed none."""
        from airflow_provider_itwin.api.imodels.run_changes import Pushed, Unclear

        run = self.hook.get_run(ref.connection_id, ref.run_id, ref.kind)
        changes = self.hook.find_changes(run, imodel_id)
        if isinstance(changes, Unclear):
            raise _unclear(ref, imodel_id, changes)
        if not isinstance(changes, Pushed):
            return None
        verdict = ResultPolicy.of().judge(run.result)
        if verdict.outcome is Outcome.FAIL:
            self.log.warning(
                "Run %s failed (%s), but has pushed changesets. The state after them is named: it may be incomplete.",
                ref,
                verdict.reason,
            )
        return changes.changeset

    def _end_without_changes(self, ref: RunRef, imodel_id: str) -> None:
        """Skip or fail the task, or log that it succeeds without a named version."""
        text = f"Run {ref} has pushed no changeset to iModel {imodel_id}: no file had changed. There is no new state to name."
        if self.on_no_changes == "fail":
            raise ITwinPermanentError(f"{text} (on_no_changes is 'fail'.)")
        if self.on_no_changes == "skip":
            raise AirflowSkipException(text)
        self.log.info("%s", text)


def _check_kind(run_ref: object) -> None:
    if kind_of(run_ref) == "export":
        raise ITwinInputError(
            "run_ref is the run of an export connection, which changes no iModel. Name the state before it is exported."
        )


def _unclear(ref: RunRef, imodel_id: str, changes: Unclear) -> Exception:
    from airflow_provider_itwin.api.errors import ITwinUnclearChangesError

    shown = "; ".join(_described(changeset) for changeset in changes.candidates[:_MOST_CANDIDATES])
    more = len(changes.candidates) - _MOST_CANDIDATES
    candidates = f"Candidates: {shown}{f'; {more} more' if more > 0 else ''}. " if shown else ""
    return ITwinUnclearChangesError(
        f"Which changeset run {ref} has pushed to iModel {imodel_id} is unclear: {changes.reason}",
        hint=f"{candidates}Nothing was named. Set changeset_id to the changeset to name.",
    )


def _described(changeset: Changeset) -> str:
    pushed = changeset.push_date_time
    info = changeset.synchronization_info
    by = "a synchronization" if info is not None else "a person or an unknown synchronization"
    when = f"pushed at {pushed.isoformat(timespec='seconds')}" if pushed else "pushed at an unknown time"
    return f"index {changeset.index}, id {_shown(changeset.id or 'unknown')}, {when} by {by}"


def _shown(text: str) -> str:
    from airflow_provider_itwin.api.redaction import excerpt

    return excerpt(text, 300)
