// The page: the report of a run, or the state of the wait for it; or the output of a step without a run.

import { isOver } from "./airflow.js";
import { badge, h, link, state } from "./dom.js";
import { badgeOf, factsOf, sectionsOf } from "./step-page.js";
import { runningOf, summaryOf, withoutOutput } from "./steps.js";
import { numbers, table } from "./tables.js";
import { timeline } from "./timeline.js";
import { count, duration, grouped, moment, toneOf } from "./words.js";

/** One sentence about the task: for screen readers, and if there is nothing to draw. */
export function sentenceOf(seen) {
  if (seen.refused === 401) {
    return "Your session has expired. Log in to Airflow again to see this run.";
  }
  if (seen.refused) {
    return "You have no permission to read task instances of this DAG.";
  }
  if (!seen.task) {
    return "Task instance not found.";
  }
  if (seen.report) {
    return String(seen.report.summary ?? seen.report.result ?? "The run has finished.");
  }
  if (seen.output) {
    return summaryOf(seen.step, seen.output);
  }
  if (!seen.ours) {
    return "This task has no iTwin run.";
  }
  if (seen.hidden) {
    return `You have no permission to read XComs, which contain ${whatIsRead(seen)}.`;
  }
  if (seen.number < seen.tries) {
    return `Attempt ${seen.number} of ${seen.tries}. Airflow keeps the report of the latest attempt only; see the log of this one.`;
  }
  if (seen.unreadable) {
    return `Airflow's REST API cannot read ${whatIsRead(seen)}: it is in a storage of its own, or has an unknown format.`;
  }
  if (!isOver(seen.task.state)) {
    return waiting(seen);
  }
  if (seen.ref && seen.task.state === "success") {
    return "The task started this run and did not wait for it.";
  }
  if (seen.task.state === "skipped") {
    return "The task was skipped.";
  }
  return seen.step ? withoutOutput(seen.step) : "The task ended without a run report.";
}

const whatIsRead = ({ step }) => (step ? "the output of this task" : "the report of this run");

function waiting({ task, ref, log, step }) {
  if (["running", "deferred", "up_for_retry", "up_for_reschedule"].includes(task.state)) {
    if (task.state === "up_for_retry") {
      return "The task failed; Airflow will retry it.";
    }
    if (step) {
      return log?.state ? `${runningOf(step)} Its last state is ${log.state}.` : runningOf(step);
    }
    if (ref) {
      return log?.state ? `Waiting for the run; last state: ${log.state}.` : "Waiting for the run.";
    }
    return "The task is running; it has no run yet.";
  }
  return "The task has not started yet.";
}

/** Draw the result of `readTask`; `choose` selects another attempt, `open` has the ids of open details. */
export function show(seen, choose, open) {
  const sentence = sentenceOf(seen);
  if (seen.refused || !seen.task) {
    return [h("p", { class: "note" }, sentence)];
  }
  if (!seen.ours && !seen.report && !seen.output) {
    return [h("p", { class: "note quiet" }, sentence)];
  }
  try {
    return whole(seen, sentence, choose, open);
  } catch {
    // Written by another version of the package.
    return [h("p", { class: "note" }, "This report has an unknown format. The raw JSON is below."), raw(seen, open)];
  }
}

function whole(seen, sentence, choose, open) {
  const { report, step, output } = seen;
  return [
    head(seen, sentence, choose),
    report && ownError(report),
    report && runNumbers(report),
    report && failing(report),
    report?.timeline && timeline(report),
    report && connectors(report),
    report && outputs(report),
    output && sectionsOf(step, output),
    !report && !output && logLines(seen),
    raw(seen, open),
  ]
    .flat()
    .filter(Boolean);
}

function named(report) {
  return report?.connection_name ? `${report.connection_name} ` : "";
}

function head(seen, sentence, choose) {
  const { report, task, ref, step, output } = seen;
  const result = report?.result ?? null;
  const facts = [
    ["Task", state(task.state)],
    ["Run", ref && h("code", {}, String(ref.run_id))],
    ["Connection", ref && [named(report), h("code", {}, String(ref.connection_id)), ref.kind ? ` (${ref.kind})` : ""]],
    ...(output ? factsOf(step, output) : []),
    ...times(seen),
    [step ? "Running" : "Waiting", !report && !output && isWaiting(task.state) && task.start_date && h("span", { "data-since": task.start_date })],
    ["Attempts", seen.tries > 1 && tries(seen, choose)],
  ];
  return h(
    "header",
    {},
    h(
      "h2",
      { class: "title" },
      report ? badge(result ?? "no result") : output ? badgeOf(step, output) : seen.log?.state && isWaiting(task.state) ? badge(seen.log.state) : null,
      h("span", {}, report && sentence.startsWith(`${result}: `) ? sentence.slice(result.length + 2) : sentence),
    ),
    task.state === "up_for_retry" && (report ?? output) && h("p", { class: "quiet" }, "Airflow will retry this task."),
    h(
      "dl",
      { class: "facts" },
      facts.filter(([, fact]) => fact).map(([name, fact]) => h("div", {}, h("dt", {}, name), h("dd", {}, fact))),
    ),
  );
}

/** When the run began and ended; when the task did, if it has no run. */
function times({ report, task, step }) {
  if (step) {
    const took = (Date.parse(task.end_date) - Date.parse(task.start_date)) / 1000;
    return [
      ["Started", task.start_date && moment(task.start_date)],
      ["Ended", task.end_date && moment(task.end_date)],
      ["Duration", Number.isFinite(took) && duration(took)],
    ];
  }
  return [
    ["Started", report?.started && moment(report.started)],
    ["Ended", report?.ended && moment(report.ended)],
    ["Duration", report?.duration != null && duration(report.duration)],
  ];
}

const isWaiting = (name) => name === "running" || name === "deferred" || name === "up_for_reschedule";

function tries({ number, tries: latest }, choose) {
  const numbers_ = Array.from({ length: latest }, (_, place) => place + 1);
  return h(
    "select",
    { id: "try", "aria-label": "Attempt", onchange: (event) => choose(Number(event.target.value)) },
    numbers_.map((one) => h("option", { value: one, selected: one === number }, `${one} of ${latest}`)),
  );
}

function ownError({ error }) {
  if (!error?.key && !error?.description) {
    return null;
  }
  return h(
    "section",
    { class: "box bad" },
    h("h3", {}, "Error of the run"),
    h("p", {}, error.key && h("code", {}, String(error.key)), error.key && " ", error.description && String(error.description)),
  );
}

const runNumbers = ({ totals }) =>
  numbers([
    [totals?.tasks, "file"],
    [totals?.errors, "error"],
    [totals?.warnings, "warning"],
    [totals?.other_issues, "other issue"],
  ]);

const CONNECTOR_COLUMNS = ["Connector", ["Files", "number"], "Results", ["Errors", "number"], ["Warnings", "number"], ["Other issues", "number"]];

function connectors({ connectors: all }) {
  if (!all?.length) {
    return null;
  }
  const rows = all.map((one) => [
    one.connector ?? "unnamed",
    grouped(one.tasks),
    results(one.tasks_by_result),
    grouped(one.errors),
    grouped(one.warnings),
    grouped(one.other_issues),
  ]);
  return table("connectors", "Connectors", CONNECTOR_COLUMNS, rows);
}

function results(byResult) {
  return h(
    "ul",
    { class: "results" },
    Object.entries(byResult ?? {}).map(([result, number]) =>
      h("li", {}, h("span", { class: "dot", "data-tone": toneOf(result), "aria-hidden": "true" }), `${grouped(number)} ${result}`),
    ),
  );
}

function failing({ failing_tasks: files, more_failing_tasks: more }) {
  if (!files?.length && !more) {
    return null;
  }
  return h(
    "section",
    {},
    h("h3", {}, "Failing files"),
    h("ol", { class: "failing" }, (files ?? []).map(failingFile)),
    more > 0 && h("p", { class: "quiet" }, `… and ${count(more, "more failing file")}.`),
  );
}

// As FailingTask in api/models/report.py.
const ADVICE = { true: "You can fix this.", false: "You cannot fix this: contact Bentley support." };

function failingFile(file) {
  const reasons = [...new Set([file.message, file.description, file.details].filter(Boolean).map(String))];
  return h(
    "li",
    { class: "box" },
    h(
      "h4",
      {},
      badge(file.result ?? "no result"),
      h("span", { class: "name" }, file.file_name ?? (file.file_id ? `File ${file.file_id}` : "File with unknown id")),
    ),
    h(
      "p",
      { class: "quiet" },
      file.connector ?? "unknown connector",
      file.file_name && file.file_id && [" · file id ", h("code", {}, String(file.file_id))],
      file.error_code && [" · ", h("code", {}, String(file.error_code))],
    ),
    reasons.map((text) => h("p", {}, text)),
    (file.can_user_fix != null || file.kb_article_link) &&
      h(
        "p",
        { class: "advice" },
        file.can_user_fix != null && h("strong", {}, ADVICE[Boolean(file.can_user_fix)]),
        file.kb_article_link && [" ", link(file.kb_article_link, "Knowledge base")],
      ),
  );
}

function outputs({ output_files: files, more_output_files: more }) {
  if (!files?.length && !more) {
    return null;
  }
  return h(
    "section",
    {},
    h("h3", {}, "Output files"),
    h("ul", { class: "outputs" }, (files ?? []).map((id) => h("li", {}, h("code", {}, String(id))))),
    more > 0 && h("p", { class: "quiet" }, `… and ${count(more, "more file")}.`),
  );
}

function logLines({ log, task }) {
  if (!log || (!log.lines.length && !log.failure)) {
    return null;
  }
  return h(
    "section",
    {},
    isOver(task.state) && log.failure && h("div", { class: "box bad" }, h("pre", { class: "failure" }, log.failure.text)),
    log.lines.length > 0 && h("h3", {}, "Task log"),
    h(
      "ol",
      { class: "log" },
      log.lines.map((line) =>
        h("li", { "data-level": line.level }, line.at && h("time", { datetime: line.at }, moment(line.at)), h("span", {}, line.text)),
      ),
    ),
  );
}

function raw({ report, output, ref }, open) {
  const value = report ?? output ?? ref;
  if (!value) {
    return null;
  }
  const text = h("pre", {});
  const fold = h("details", { id: "raw", open: open.has("raw") }, h("summary", {}, "Raw JSON"), text);
  const fill = () => {
    if (fold.open && !text.firstChild) {
      text.append(JSON.stringify(value, null, 2));
    }
  };
  fold.addEventListener("toggle", fill);
  fill();
  return fold;
}
