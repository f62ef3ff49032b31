// Draws the page "iTwin": a table of connections, grouped by iModel.

import { badge, h, state } from "./dom.js";
import { connectionsOf, hasBegun, isProblem } from "./overview-rows.js";
import { summaryOf as outputSummaryOf } from "./steps.js";
import { brief, count, duration, excerpt, grouped, signOf, toneOf, toneOfState } from "./words.js";

const PERIODS = { day: "Last 24 hours", week: "Last 7 days" };
const COLUMNS = ["Connection", "Result", "Task", "Duration", "Queue", "Failing files", "Earlier"];
const MOST_SIGNS = 7;
const MOST_NAMES = 3;
const MOST_EARLIER = 50;

/** One sentence about all tasks, for screen readers. */
export function summaryOf({ totals, refused, broken, outdated }, rows) {
  const problem = problemOf({ refused, broken, outdated });
  if (problem) {
    return problem;
  }
  const problems = rows.filter(isProblem).length;
  return `${count(connectionsOf(rows), "connection")}, ${count(problems, "problem")}; ${count(totals.failed, "failed task")}.`;
}

function problemOf({ refused, broken, outdated }) {
  if (refused === 401) {
    return "Your session has expired. Log in to Airflow again.";
  }
  if (refused) {
    return "You have no permission to read task instances.";
  }
  if (broken) {
    return "Airflow does not respond, so this page is incomplete. Refresh it to try again.";
  }
  return outdated ? "Airflow does not respond, so this page is not up to date." : null;
}

/** Draw the page; `actions` are what its controls do. */
export function show({ view, reading, all, rows, left }, actions) {
  const problem = problemOf(reading);
  const isEmpty = !all.length && !reading.busy && !problem;
  return [
    head(view, reading, actions),
    problem && h("p", { class: "box bad" }, problem),
    !problem && numbers(reading, all),
    rows.length > 0 && table(rows, view, reading, actions),
    !rows.length && reading.busy > 0 && h("p", { class: "note" }, "Reading tasks …"),
    isEmpty && h("p", { class: "note" }, `No task of this provider ran in the ${PERIODS[view.period].toLowerCase()}.`),
    all.length > 0 && !rows.length && !reading.busy && h("p", { class: "note" }, "No problems."),
    foot(view, reading, left, actions),
  ].filter(Boolean);
}

function head(view, reading, { choose, restart }) {
  const isAutomatic = !reading.extended && !reading.refused;
  return h(
    "header",
    { class: "bar-of-controls" },
    h("h2", {}, "iTwin tasks"),
    h(
      "select",
      { id: "period", "aria-label": "Period", onchange: (event) => choose({ period: event.target.value }) },
      Object.entries(PERIODS).map(([key, text]) => h("option", { value: key, selected: key === view.period }, text)),
    ),
    h(
      "label",
      {},
      h("input", { id: "problems", type: "checkbox", checked: view.problems, onchange: (event) => choose({ problems: event.target.checked }) }),
      " Only problems",
    ),
    h("button", { id: "refresh", type: "button", onclick: restart }, "Refresh"),
    h("span", { class: "quiet" }, `As of ${brief(reading.now)}${isAutomatic ? ", refreshed every minute" : ""}`),
  );
}

function numbers({ totals }, rows) {
  const late = rows.filter((row) => row.isLate).length;
  const again = rows.filter((row) => row.files.some((file) => file.before)).length;
  const cells = [
    [totals.failed, "failed task"],
    [totals.unfinished, "unfinished task"],
    [totals.ended, "ended task"],
    [late, "slow connection"],
    [again, "connection", "failing again"],
  ];
  return h(
    "ul",
    { class: "numbers" },
    cells.map(([number, word, more]) =>
      h("li", {}, h("strong", {}, number === undefined ? "…" : grouped(number)), ` ${word}${number === 1 ? "" : "s"}${more ? ` ${more}` : ""}`),
    ),
  );
}

function table(rows, view, reading, { toggle }) {
  // Where a narrow window shows a table as cards, browsers would no longer report it as a table.
  const groups = new Map();
  for (const row of rows) {
    groups.set(row.imodel, [...(groups.get(row.imodel) ?? []), row]);
  }
  const accounts = new Set(rows.map((row) => row.account).filter(Boolean)).size > 1;
  return h(
    "table",
    { role: "table", class: "overview", "aria-label": "Tasks by iModel and connection" },
    h(
      "thead",
      { role: "rowgroup" },
      h("tr", { role: "row" }, COLUMNS.map((name) => h("th", { role: "columnheader", scope: "col" }, name))),
    ),
    [...groups].map(([imodel, members]) =>
      h(
        "tbody",
        { role: "rowgroup" },
        h("tr", { role: "row", class: "group" }, h("th", { role: "rowheader", scope: "rowgroup", colspan: COLUMNS.length }, groupName(imodel, members, reading))),
        members.map((row) => [line(row, view, accounts, toggle), view.open.has(row.key) && row.shown.slice(0, MOST_EARLIER).map(earlierLine)]),
      ),
    ),
  );
}

function groupName(imodel, rows, { details, busy }) {
  const connections = connectionsOf(rows);
  const number = connections > 0 && h("span", { class: "quiet" }, ` · ${count(connections, "connection")}`);
  if (imodel) {
    return h("h3", {}, "iModel ", h("code", {}, imodel), number);
  }
  const isReading = busy > 0 && rows.some((row) => !details.get(row.latest.id));
  return h("h3", {}, isReading ? "Reading the iModel …" : "iModel unknown", number);
}

const idOf = (kind, id) => `${kind}-${String(id).replaceAll(/[^\w-]/g, "_")}`;
const NOTHING = "–";
// Cards leave out what is empty.
const cell = (place, ...content) =>
  h("td", { role: "cell", "data-label": COLUMNS[place], "data-empty": content[0] === NOTHING && !content[1] }, h("div", {}, ...content));

function line(row, view, accounts, toggle) {
  const { latest, report } = row;
  return h(
    "tr",
    { role: "row", class: isProblem(row) ? "problem" : null },
    h(
      "th",
      { role: "rowheader", scope: "row", "data-label": COLUMNS[0] },
      h(
        "div",
        {},
        row.name && h("strong", { class: "more" }, row.name),
        row.connection ? h("code", {}, row.connection) : h("span", { class: "quiet" }, row.step && hasBegun(latest) ? "no connection" : "not known yet"),
        h("span", { class: "quiet more" }, [row.kind, accounts && row.account].filter(Boolean).join(" · ")),
      ),
    ),
    cell(1, ...resultOf(latest, report?.result), outputOf(row)),
    cell(2, taskLink(latest), h("span", { class: "quiet more" }, timeOf(latest))),
    cell(3, row.took === null ? NOTHING : duration(row.took), usualOf(row)),
    cell(4, queueOf(row.queue)),
    cell(5, filesOf(row)),
    cell(6, earlierOf(row, view, toggle)),
  );
}

function earlierLine(task) {
  return h(
    "tr",
    { role: "row", class: "earlier" },
    h("td", { role: "cell", class: "blank" }),
    cell(1, state(task.state)),
    cell(2, taskLink(task), h("span", { class: "quiet more" }, timeOf(task))),
    cell(3, task.duration === null ? NOTHING : duration(task.duration)),
    h("td", { role: "cell", class: "blank", colspan: 3 }),
  );
}

/** The result of the run, and the state of the task if it is another one. */
function resultOf({ state: name }, result) {
  const isSame = result && toneOf(result) === toneOfState(name);
  return [result && badge(result), !isSame && h("span", { class: result ? "more" : null }, state(name))];
}

/** What a step without a run has brought. */
const outputOf = ({ step, output }) => output && h("span", { class: "quiet more" }, excerpt(outputSummaryOf(step, output)));

/** A link to the tab of a task instance. */
function taskLink(task) {
  const parts = ["dags", task.dagId, "runs", task.runId, "tasks", task.taskId, ...(task.mapIndex >= 0 ? ["mapped", task.mapIndex] : []), "plugin", "itwin-run"];
  const address = new URL(parts.map(encodeURIComponent).join("/"), document.baseURI);
  const name = `${task.dagName} · ${task.name}${task.mapIndex >= 0 ? ` [${task.mapIndex}]` : ""}`;
  return h("a", { id: idOf("task", task.id), href: address.href, title: `DAG run ${task.runId}` }, name);
}

function timeOf(task) {
  const attempt = task.attempt > 1 ? `, attempt ${task.attempt} of ${task.attempts}` : "";
  if (task.ended !== null) {
    return `${brief(task.ended)}${attempt}`;
  }
  return task.started === null ? "not started" : `since ${brief(task.started)}${attempt}`;
}

function usualOf({ usual, took, isLate }) {
  if (usual === null || took === null) {
    return null;
  }
  const text = `usual ${duration(usual)}`;
  return h("span", { class: isLate ? "more late" : "quiet more" }, isLate ? `▲ slow, ${text}` : text);
}

function queueOf(queue) {
  if (!queue) {
    return NOTHING;
  }
  const time = duration(queue.seconds);
  return { airflow: `${time} in Airflow's queue`, imodel: `${time} behind another run`, before: `${time} before its run` }[queue.place];
}

function filesOf({ files, moreFiles, compared, detail }) {
  if (detail?.hidden) {
    return h("span", { class: "quiet" }, "no permission for XComs");
  }
  if (!files.length && !moreFiles) {
    return NOTHING;
  }
  const again = files.filter((file) => file.before).length;
  const sorted = [...files].sort((one, other) => other.before - one.before);
  const left = files.length + moreFiles - Math.min(files.length, MOST_NAMES);
  return [
    h("strong", {}, count(files.length + moreFiles, "file")),
    again > 0 && h("span", { class: "again" }, `, ${again} failed before`),
    h(
      "ul",
      {},
      sorted.slice(0, MOST_NAMES).map((file) => h("li", {}, file.name, file.before > 0 && h("span", { class: "quiet" }, ` (in ${file.before} of ${compared} earlier)`))),
      left > 0 && h("li", { class: "quiet" }, `… and ${grouped(left)} more`),
    ),
  ];
}

function earlierOf({ key, shown }, view, toggle) {
  if (!shown.length) {
    return NOTHING;
  }
  const failed = shown.filter((task) => task.state === "failed").length;
  const signs = shown.slice(0, MOST_SIGNS).map((task) => {
    const tone = toneOfState(task.state);
    return h("span", { class: "dot sign", "data-tone": tone }, signOf(tone));
  });
  const more = shown.length - signs.length;
  return h(
    "button",
    {
      id: idOf("earlier", key),
      type: "button",
      class: "signs",
      "aria-expanded": String(view.open.has(key)),
      "aria-label": `${count(shown.length, "earlier task")}, ${grouped(failed)} failed`,
      onclick: () => toggle(key),
    },
    h("span", { "aria-hidden": "true" }, signs, more > 0 && `+${grouped(more)} `, view.open.has(key) ? "▴" : "▾"),
  );
}

function foot(view, reading, left, { choose, more }) {
  const { totals, read, complete, busy } = reading;
  return h(
    "footer",
    {},
    left > 0 &&
      h("p", {}, h("button", { id: "rows", type: "button", onclick: () => choose({ limit: view.limit + 50 }) }, `Show ${grouped(Math.min(left, 50))} more of ${count(left, "connection")}`)),
    totals.ended > read &&
      h(
        "p",
        { class: "quiet" },
        `The newest ${grouped(read)} of ${grouped(totals.ended)} ended tasks are listed, and the newest failed ones. `,
        !complete && !busy && h("button", { id: "more", type: "button", onclick: more }, "Read more"),
      ),
    busy > 0 && h("p", { class: "quiet" }, "Reading …"),
  );
}
