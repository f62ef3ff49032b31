// The page: what is known of a run, as people would rather see it.

import { isOver } from "./airflow.js";
import { h, link } from "./dom.js";
import { timeline } from "./timeline.js";
import { count, duration, grouped, moment, signOf, toneOf, toneOfState } from "./words.js";

/** Say in one sentence what there is to see: for those who listen, and where there is nothing to draw. */
export function sentenceOf(seen) {
  if (seen.refused === 401) {
    return "You are not logged in any more: log in to Airflow again to see this run.";
  }
  if (seen.refused) {
    return "You may not see what this task did: Airflow does not let you read its task instances.";
  }
  if (!seen.task) {
    return "Airflow knows no such task instance.";
  }
  if (seen.report) {
    return String(seen.report.summary ?? seen.report.result ?? "The run has ended.");
  }
  if (!seen.ours) {
    return "This task runs no synchronization of the iTwin Platform.";
  }
  if (seen.hidden) {
    return "You may not see the report of this run: Airflow does not let you read what tasks leave (XCom).";
  }
  if (seen.number < seen.tries) {
    return `Try ${seen.number} of ${seen.tries}. Airflow keeps the report of the latest try only; of this one there is its log.`;
  }
  if (seen.unreadable) {
    return "The report of this run is kept where Airflow's REST API cannot read it.";
  }
  if (!isOver(seen.task.state)) {
    return waiting(seen);
  }
  if (seen.ref && seen.task.state === "success") {
    return "The task has started this run and did not wait for it.";
  }
  return seen.task.state === "skipped" ? "The task was skipped." : "The task ended without a report of a run.";
}

function waiting({ task, ref, told }) {
  if (["running", "deferred", "up_for_retry", "up_for_reschedule"].includes(task.state)) {
    if (task.state === "up_for_retry") {
      return "The task has failed; Airflow is going to try it again.";
    }
    if (ref) {
      return told?.state ? `Waiting for the run; when last seen it was ${told.state}.` : "Waiting for the run.";
    }
    return "The task is at work; there is no run yet.";
  }
  return "The task has not begun yet.";
}

/** Draw what `look` has seen; `choose` asks for another try, `open` names what is folded out. */
export function show(seen, choose, open) {
  const sentence = sentenceOf(seen);
  if (seen.refused || !seen.task) {
    return [h("p", { class: "note" }, sentence)];
  }
  if (!seen.ours && !seen.report) {
    return [h("p", { class: "note quiet" }, sentence)];
  }
  try {
    return whole(seen, sentence, choose, open);
  } catch {
    // Written by a version that tells other things, or tells them otherwise.
    return [h("p", { class: "note" }, "This page does not understand the report; here it is as it was written."), raw(seen, open)];
  }
}

function whole(seen, sentence, choose, open) {
  const { report } = seen;
  return [
    head(seen, sentence, choose),
    report && ownError(report),
    report && numbers(report),
    report && failing(report),
    report?.timeline && timeline(report),
    report && connectors(report),
    report && outputs(report),
    !report && told(seen),
    raw(seen, open),
  ].filter(Boolean);
}

function head(seen, sentence, choose) {
  const { report, task, ref } = seen;
  const result = report?.result ?? null;
  const facts = [
    ["Task", state(task.state)],
    ["Run", ref && h("code", {}, String(ref.run_id))],
    ["Connection", ref && [h("code", {}, String(ref.connection_id)), ref.kind ? ` (${ref.kind})` : ""]],
    ["Started", report?.started && moment(report.started)],
    ["Ended", report?.ended && moment(report.ended)],
    ["Took", report?.duration != null && duration(report.duration)],
    ["Waiting", !report && isWaiting(task.state) && task.start_date && h("span", { "data-since": task.start_date })],
    ["Tries", seen.tries > 1 && tries(seen, choose)],
  ];
  return h(
    "header",
    {},
    h(
      "h2",
      { class: "title" },
      report ? badge(result ?? "no result") : seen.told?.state && isWaiting(task.state) ? badge(seen.told.state) : null,
      h("span", {}, report && sentence.startsWith(`${result}: `) ? sentence.slice(result.length + 2) : sentence),
    ),
    task.state === "up_for_retry" && report && h("p", { class: "quiet" }, "Airflow is going to try this task again."),
    h(
      "dl",
      { class: "facts" },
      facts.filter(([, fact]) => fact).map(([name, fact]) => h("div", {}, h("dt", {}, name), h("dd", {}, fact))),
    ),
  );
}

const isWaiting = (name) => name === "running" || name === "deferred" || name === "up_for_reschedule";

function tries({ number, tries: latest }, choose) {
  const numbers_ = Array.from({ length: latest }, (_, place) => place + 1);
  return h(
    "select",
    { id: "try", "aria-label": "Try", onchange: (event) => choose(Number(event.target.value)) },
    numbers_.map((one) => h("option", { value: one, selected: one === number }, `${one} of ${latest}`)),
  );
}

function badge(result, tone = toneOf(result)) {
  return h("span", { class: "badge", "data-tone": tone }, h("span", { "aria-hidden": "true" }, signOf(tone)), ` ${result}`);
}

function state(name) {
  const tone = toneOfState(name);
  return h("span", { class: "state", "data-tone": tone }, String(name ?? "not begun").replaceAll("_", " "));
}

function ownError({ error }) {
  if (!error?.key && !error?.description) {
    return null;
  }
  return h(
    "section",
    { class: "box bad" },
    h("h3", {}, "The run's own error"),
    h("p", {}, error.key && h("code", {}, String(error.key)), error.key && " ", error.description && String(error.description)),
  );
}

function numbers({ totals }) {
  const cells = [
    [totals?.tasks, "file"],
    [totals?.errors, "error"],
    [totals?.warnings, "warning"],
    [totals?.other_issues, "other issue"],
  ];
  return h(
    "ul",
    { class: "numbers" },
    cells.map(([number, word]) =>
      h("li", {}, h("strong", {}, grouped(number)), ` ${word}${number === 1 ? "" : "s"}`),
    ),
  );
}

function connectors({ connectors: all }) {
  if (!all?.length) {
    return null;
  }
  const heading = (text, kind) => h("th", { scope: "col", class: kind }, text);
  return h(
    "section",
    {},
    h("h3", { id: "connectors" }, "Connectors"),
    h(
      "div",
      { class: "wide", tabindex: 0, role: "region", "aria-labelledby": "connectors" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            heading("Connector"),
            heading("Files", "number"),
            heading("Results"),
            heading("Errors", "number"),
            heading("Warnings", "number"),
            heading("Other issues", "number"),
          ),
        ),
        h(
          "tbody",
          {},
          all.map((one) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, one.connector ?? "unnamed"),
              h("td", { class: "number" }, grouped(one.tasks)),
              h("td", {}, results(one.tasks_by_result)),
              h("td", { class: "number" }, grouped(one.errors)),
              h("td", { class: "number" }, grouped(one.warnings)),
              h("td", { class: "number" }, grouped(one.other_issues)),
            ),
          ),
        ),
      ),
    ),
  );
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
    h("h3", {}, "Files that did not come through cleanly"),
    h("ol", { class: "failing" }, (files ?? []).map(fileThatFailed)),
    more > 0 && h("p", { class: "quiet" }, `… and ${count(more, "more file")} like these.`),
  );
}

function fileThatFailed(file) {
  const reasons = [...new Set([file.message, file.description, file.details].filter(Boolean).map(String))];
  const advice = { true: "You can fix this.", false: "Not for you to fix: ask Bentley's support." };
  return h(
    "li",
    { class: "box" },
    h(
      "h4",
      {},
      badge(file.result ?? "no result"),
      h("span", { class: "name" }, file.file_name ?? (file.file_id ? `File ${file.file_id}` : "A file of unknown id")),
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
        file.can_user_fix != null && h("strong", {}, advice[Boolean(file.can_user_fix)]),
        file.kb_article_link && [" ", link(file.kb_article_link, "Read how in the knowledge base")],
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
    h("h3", {}, "Files written"),
    h("ul", { class: "outputs" }, (files ?? []).map((id) => h("li", {}, h("code", {}, String(id))))),
    more > 0 && h("p", { class: "quiet" }, `… and ${count(more, "more file")}.`),
  );
}

function told({ told: log, task }) {
  if (!log || (!log.lines.length && !log.failure)) {
    return null;
  }
  return h(
    "section",
    {},
    isOver(task.state) && log.failure && h("div", { class: "box bad" }, h("pre", { class: "failure" }, log.failure.text)),
    log.lines.length > 0 && h("h3", {}, "What the task has told its log"),
    h(
      "ol",
      { class: "told" },
      log.lines.map((line) =>
        h("li", { "data-level": line.level }, line.at && h("time", { datetime: line.at }, moment(line.at)), h("span", {}, line.text)),
      ),
    ),
  );
}

function raw({ report, ref }, open) {
  const value = report ?? ref;
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
