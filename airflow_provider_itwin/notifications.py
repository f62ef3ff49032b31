"""
Messages about runs: a subject, and the same content as plain text, Markdown and HTML.

For Airflow's notifiers of mail and chat, in a template or in a callback::

    with DAG(..., user_defined_macros={"run_message": run_message}):
        ITwinRunStorageConnectionOperator(
            ...,
            on_failure_callback=SmtpNotifier(
                to="bim-team@example.com",
                subject="{{ run_message().subject }}",
                html_content="{{ run_message().html }}",
            ),
        )

DAG files reach this module, so it imports more than Airflow only inside functions.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jinja2 import pass_context

from airflow_provider_itwin.api.redaction import (
    excerpt,
    shortened,
    web_address,
)

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.json_types import RunReportDict
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.models.report_parts import FailingTask

__all__ = ["LONGEST_HTML", "LONGEST_SUBJECT", "LONGEST_TEXT", "RunMessage", "message_of_report", "run_message"]

LONGEST_SUBJECT = 150
LONGEST_TEXT = 3000
"""Characters of the text and of the Markdown, at most: the limit of chat messages."""
LONGEST_HTML = 60_000

_LONGEST_LINE = 600
_LONGEST_NAME = 200
_SHORT_LINE = 200
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


@dataclass(frozen=True, slots=True)
class RunMessage:
    """
    A message about a run. It contains no secrets, and remote text is escaped.

    :param subject: one line, at most :data:`LONGEST_SUBJECT` characters
    :param text: plain text, at most :data:`LONGEST_TEXT` characters
    :param markdown: the same as Markdown
    :param html: the same as a piece of HTML, at most :data:`LONGEST_HTML` characters
    """

    subject: str
    text: str
    markdown: str
    html: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class _File:
    """A failing file, sanitized; see :class:`~airflow_provider_itwin.api.models.report_parts.FailingTask`."""

    name: str
    outcome: str
    reason: str
    advice: str
    address: str | None


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of a message, independent of its format."""

    headline: str
    lines: tuple[str, ...]
    files: tuple[_File, ...] = ()
    more_files: int = 0
    address: str | None = None


@pass_context
def run_message(context: Mapping[str, object]) -> RunMessage:
    """
    Return a message about the run of a task: for callbacks, and as a template macro, which takes no parameter.

    The report comes from the exception of the task, or from its XCom ``run_report``. Without a report, because the run did not
    start or did not finish, the message has the text of the exception. For the callback of a deadline, it names the DAG run and
    the deadline.

    :param context: the context of a task, as callbacks receive it; or what Airflow passes to the callback of a deadline
    """
    task = context.get("ti") or context.get("task_instance")
    error = context.get("exception")
    where = _place(context, task)
    address = _member(task, "log_url")
    report = _report_of(task, error)
    if report is not None:
        return _rendered(_content(report, where, web_address(address)))
    return _rendered(_without_report(context, error, where, web_address(address)))


def message_of_report(report: RunReportDict, *, task: str | None = None, address: str | None = None) -> RunMessage:
    """
    Return a message about a run report.

    :param report: the run report, as in the XCom ``run_report``
    :param task: the task that it is about
    :param address: a link, such as to the task's log; ignored unless it is an http or https URL
    :raises ValueError: if the report is invalid
    """
    from airflow_provider_itwin.api.models.report import RunReport

    return _rendered(_content(RunReport.from_dict(report), f"Task {task}" if task else None, web_address(address)))


def _report_of(task: Any, error: Any) -> RunReport | None:
    from airflow_provider_itwin.api.models.report import RunReport

    found = getattr(error, "report", None)
    if found is None and task is not None:
        try:
            found = task.xcom_pull(task_ids=task.task_id, key="run_report", map_indexes=getattr(task, "map_index", -1))
        except Exception:  # noqa: BLE001 (a message without a report is better than none)
            return None
    try:
        return RunReport.from_dict(found) if isinstance(found, Mapping) else None
    except ValueError:
        return None


def _member(whole: Any, *names: str) -> Any:
    """Return the first of these attributes of an object, or members of a mapping, that is not None."""
    for name in names:
        found = whole.get(name) if isinstance(whole, Mapping) else getattr(whole, name, None)
        if found is not None:
            return found
    return None


def _place(context: Mapping[str, object], task: Any) -> str | None:
    """Return the name of the task or the DAG run of a context, None if it has neither."""
    run = context.get("dag_run")
    # In the callback of a deadline, the DAG run has the form of the REST API.
    dag_id = _member(task, "dag_id") or _member(run, "dag_id") or _member(context.get("dag"), "dag_id")
    if not dag_id:
        return None
    name = f"DAG {dag_id}"
    if task_id := _member(task, "task_id"):
        index = _member(task, "map_index")
        name = f"Task {task_id}{f' [{index}]' if isinstance(index, int) and index >= 0 else ''} of {name}"
    run_id = _member(task, "run_id", "dag_run_id") or _member(run, "run_id", "dag_run_id") or context.get("run_id")
    return f"{name}, {run_id}" if run_id else name


def _content(report: RunReport, where: str | None, address: str | None) -> _Content:
    lines = [report.title]
    if where:
        lines.append(where)
    if report.error_text:
        lines.append(report.error_text)
    return _Content(
        headline=_clean(report.summary, LONGEST_SUBJECT),
        lines=tuple(_clean(line, _LONGEST_LINE) for line in lines),
        files=tuple(map(_file, report.failing_tasks)),
        more_files=report.more_failing_tasks,
        address=address,
    )


def _without_report(context: Mapping[str, object], error: Any, where: str | None, address: str | None) -> _Content:
    deadline = context.get("deadline")
    if deadline is not None and error is None:
        return _deadline_missed(context, deadline, where, address)
    kind = type(error).__name__ if isinstance(error, BaseException) else "No run report"
    text = _clean(f"{kind}: {error or context.get('reason') or 'no further information'}", 1500)
    lines = [_clean(where, _LONGEST_LINE)] if where else []
    if len(text) > LONGEST_SUBJECT:
        lines.append(text)
    return _Content(headline=shortened(text, LONGEST_SUBJECT), lines=tuple(lines), address=address)


def _deadline_missed(context: Mapping[str, object], deadline: Any, where: str | None, address: str | None) -> _Content:
    moment = _member(deadline, "deadline_time") or (deadline if isinstance(deadline, str) else None)
    state, began = _member(context.get("dag_run"), "state"), _member(context.get("dag_run"), "start_date")
    lines = [where] if where else []
    if moment:
        lines.append(f"Deadline: {moment}")
    if state:
        lines.append(f"State of the DAG run: {state}{f', started {began}' if began else ''}")
    return _Content(
        headline=_clean(f"Deadline missed: {where or 'unknown DAG run'}", LONGEST_SUBJECT),
        lines=tuple(_clean(line, _LONGEST_LINE) for line in lines),
        address=address,
    )


def _file(task: FailingTask) -> _File:
    return _File(
        name=_clean(task.name, _LONGEST_NAME),
        outcome=_clean(task.outcome, 120),
        reason=_clean(task.reason, _LONGEST_LINE),
        advice=task.advice,
        address=web_address(task.kb_article_link),
    )


def _clean(text: str, longest: int) -> str:
    return excerpt(" ".join(text.split()), longest)


def _rendered(content: _Content) -> RunMessage:
    return RunMessage(
        subject=shortened(content.headline, LONGEST_SUBJECT),
        text=_fitting(_as_text, content, LONGEST_TEXT),
        markdown=_fitting(_as_markdown, content, LONGEST_TEXT),
        html=_fitting(_as_html, content, LONGEST_HTML),
    )


def _fitting(render: Callable[[_Content, int], Iterable[str]], content: _Content, longest: int) -> str:
    """Render with as many files as fit into `longest` characters; without files and with short lines, it always fits."""
    text = ""
    for shown in range(len(content.files), -1, -1):
        text = "\n".join(render(content, shown))
        if len(text) <= longest:
            return text
    short = replace(content, lines=tuple(shortened(line, _SHORT_LINE) for line in content.lines))
    return "\n".join(render(short, 0))


def _rest(content: _Content, shown: int) -> str | None:
    left = len(content.files) - shown + content.more_files
    if not left:
        return None
    what = "file" if left == 1 else "files"
    return f"… and {left} more failing {what}." if shown else f"{left} failing {what}; see the log."


def _as_text(content: _Content, shown: int) -> Iterable[str]:
    yield content.headline
    yield from content.lines
    for number, file in enumerate(content.files[:shown], 1):
        tail = " ".join(filter(None, (file.reason, file.advice, file.address and f"See {file.address}")))
        yield f"{number}. {file.name} ({file.outcome}){f': {tail}' if tail else ''}"
    if rest := _rest(content, shown):
        yield rest
    if content.address:
        yield f"Log: {content.address}"


def _as_markdown(content: _Content, shown: int) -> Iterable[str]:
    yield f"**{_escaped(content.headline)}**"
    yield ""
    yield "  \n".join(map(_escaped, content.lines))
    if shown:
        yield ""
    for number, file in enumerate(content.files[:shown], 1):
        link = f"[Knowledge base]({file.address})" if file.address else ""
        tail = " ".join(filter(None, (_escaped(file.reason), _escaped(file.advice), link)))
        yield f"{number}. **{_escaped(file.name)}** ({_escaped(file.outcome)}){f': {tail}' if tail else ''}"
    if rest := _rest(content, shown):
        yield ""
        yield _escaped(rest)
    if content.address:
        yield ""
        yield f"[Log]({content.address})"


def _as_html(content: _Content, shown: int) -> Iterable[str]:
    escape = html.escape
    yield f"<p><strong>{escape(content.headline)}</strong></p>"
    yield f"<p>{'<br>'.join(map(escape, content.lines))}</p>"
    if shown:
        yield "<ol>"
    for file in content.files[:shown]:
        link = f'<a href="{escape(file.address)}">Knowledge base</a>' if file.address else ""
        tail = " ".join(filter(None, (escape(file.reason), escape(file.advice), link)))
        yield f"<li><strong>{escape(file.name)}</strong> ({escape(file.outcome)}){f': {tail}' if tail else ''}</li>"
    if shown:
        yield "</ol>"
    if rest := _rest(content, shown):
        yield f"<p>{escape(rest)}</p>"
    if content.address:
        yield f'<p><a href="{escape(content.address)}">Log</a></p>'


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)
