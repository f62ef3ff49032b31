"""
What a run did, as a message for people: a subject, and the same content as plain text, Markdown and HTML.

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

DAG files reach this module, so whatever needs more than Airflow is imported where it is used.
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
    from airflow_provider_itwin.api.models.report import FailingTask, RunReport

__all__ = ["LONGEST_HTML", "LONGEST_SUBJECT", "LONGEST_TEXT", "RunMessage", "message_of_report", "run_message"]

LONGEST_SUBJECT = 150
LONGEST_TEXT = 3000
"""Characters of the text and of the Markdown, at most: what chats take in one message."""
LONGEST_HTML = 60_000

_LONGEST_LINE = 600
_LONGEST_NAME = 200
_SHORT_LINE = 200
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


@dataclass(frozen=True, slots=True)
class RunMessage:
    """
    A message about a run; nothing in it is a secret, and what the service wrote is escaped.

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
    """A file that did not come through: `name` and what else is known of it, and an address to read on at."""

    name: str
    result: str
    says: str
    advice: str
    address: str | None


@dataclass(frozen=True, slots=True)
class _Content:
    """What a message says, in whichever form."""

    headline: str
    lines: tuple[str, ...]
    files: tuple[_File, ...] = ()
    more_files: int = 0
    address: str | None = None


@pass_context
def run_message(context: Mapping[str, Any]) -> RunMessage:
    """
    Make a message of what a task knows of its run: for callbacks, and as a macro for templates, where it takes no parameter.

    The report comes from the exception of the task, or from its XCom ``run_report``. A task that has none, because its
    run was never started or never seen to end, gets a message with the text of its exception. The callback of a deadline
    gets one that names the DAG run and the deadline.

    :param context: the context of a task, as callbacks get it; or the plain values that Airflow passes to the callback of a
        deadline
    """
    task = context.get("ti") or context.get("task_instance")
    error = context.get("exception")
    where = _place(context, task)
    address = _member(task, "log_url")
    report = _report_of(task, error)
    if report is not None:
        return _rendered(_content(report, where, web_address(address)))
    return _rendered(_without_report(context, error, where, web_address(address)))


def message_of_report(report: Mapping[str, Any], *, task: str | None = None, address: str | None = None) -> RunMessage:
    """
    Make a message of a run report.

    :param report: as in the XCom ``run_report``, which is also what a sensor gives
    :param task: which task it is about, in words
    :param address: where to read on, such as the task's log; left out unless it is an http or https URL
    :raises ValueError: if that is no run report
    """
    from airflow_provider_itwin.api.models.report import RunReport

    return _rendered(_content(RunReport.from_dict(report), f"Task {task}" if task else None, web_address(address)))


def _report_of(task: Any, error: Any) -> RunReport | None:
    from airflow_provider_itwin.api.models.report import RunReport

    found = getattr(error, "report", None)
    if found is None and task is not None:
        try:
            found = task.xcom_pull(task_ids=task.task_id, key="run_report", map_indexes=getattr(task, "map_index", -1))
        except Exception:  # noqa: BLE001 (a message with less in it is better than none)
            return None
    try:
        return RunReport.from_dict(found) if isinstance(found, Mapping) else None
    except ValueError:
        return None


def _member(whole: Any, *names: str) -> Any:
    """Return the first of the members that an object, or the mapping that stands for one, has; None if it has none of them."""
    for name in names:
        found = whole.get(name) if isinstance(whole, Mapping) else getattr(whole, name, None)
        if found is not None:
            return found
    return None


def _place(context: Mapping[str, Any], task: Any) -> str | None:
    """Name the task or the DAG run that a context is about, as far as the context tells."""
    run = context.get("dag_run")
    # The callback of a deadline gets the DAG run as the REST API has it.
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
    ref = report.ref
    lines = [f"Run {ref.run_id} of {ref.kind} connection {ref.connection_id}"]
    if where:
        lines.append(where)
    if report.error:
        said = ": ".join(part for part in (report.error.get("key"), report.error.get("description")) if part)
        lines.append(f"The run's own error: {said}")
    return _Content(
        headline=_clean(report.summary, LONGEST_SUBJECT),
        lines=tuple(_clean(line, _LONGEST_LINE) for line in lines),
        files=tuple(map(_file, report.failing_tasks)),
        more_files=report.more_failing_tasks,
        address=address,
    )


def _without_report(context: Mapping[str, Any], error: Any, where: str | None, address: str | None) -> _Content:
    deadline = context.get("deadline")
    if deadline is not None and error is None:
        return _deadline_missed(context, deadline, where, address)
    kind = type(error).__name__ if isinstance(error, BaseException) else "No report of a run"
    said = _clean(f"{kind}: {error or context.get('reason') or 'nothing more is known'}", 1500)
    lines = [_clean(where, _LONGEST_LINE)] if where else []
    if len(said) > LONGEST_SUBJECT:
        lines.append(said)
    return _Content(headline=shortened(said, LONGEST_SUBJECT), lines=tuple(lines), address=address)


def _deadline_missed(context: Mapping[str, Any], deadline: Any, where: str | None, address: str | None) -> _Content:
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
    says = " ".join(
        text if text.endswith((".", "!", "?", "…")) else f"{text}."
        for text in dict.fromkeys((task.message, task.description, task.details))
        if text
    )
    advice = {True: "You can fix this.", False: "Not for you to fix: ask Bentley's support."}
    return _File(
        name=_clean(task.file_name or f"file {task.file_id or 'of unknown id'}", _LONGEST_NAME),
        result=_clean(", ".join(filter(None, (task.result or "no result", task.connector, task.error_code))), 120),
        says=_clean(says, _LONGEST_LINE),
        advice=advice.get(task.can_user_fix, "") if task.can_user_fix is not None else "",
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
    """Render with as many of the files as there is room for; with none, and short lines, there always is."""
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
    return (
        f"… and {left} more {what} like these." if shown else f"{left} {what} did not come through; the log names them."
    )


def _as_text(content: _Content, shown: int) -> Iterable[str]:
    yield content.headline
    yield from content.lines
    for number, file in enumerate(content.files[:shown], 1):
        tail = " ".join(filter(None, (file.says, file.advice, file.address and f"Read {file.address}")))
        yield f"{number}. {file.name} ({file.result}){f': {tail}' if tail else ''}"
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
        link = f"[Read on]({file.address})" if file.address else ""
        tail = " ".join(filter(None, (_escaped(file.says), _escaped(file.advice), link)))
        yield f"{number}. **{_escaped(file.name)}** ({_escaped(file.result)}){f': {tail}' if tail else ''}"
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
        link = f'<a href="{escape(file.address)}">Read on</a>' if file.address else ""
        tail = " ".join(filter(None, (escape(file.says), escape(file.advice), link)))
        yield f"<li><strong>{escape(file.name)}</strong> ({escape(file.result)}){f': {tail}' if tail else ''}</li>"
    if shown:
        yield "</ol>"
    if rest := _rest(content, shown):
        yield f"<p>{escape(rest)}</p>"
    if content.address:
        yield f'<p><a href="{escape(content.address)}">Log</a></p>'


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)
