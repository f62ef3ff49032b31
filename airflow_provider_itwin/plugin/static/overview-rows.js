// Groups tasks into rows: the latest task of each connection, and what came before it.

import { UNFINISHED } from "./overview-read.js";
import { totalOf } from "./steps.js";

const LEAST_TASKS = 3;
const MOST_TASKS = 10;
const LATE_FACTOR = 1.5;
const LATE_SECONDS = 60;
/** Earlier reports that are compared, so that a file that failed in them is known. */
export const MOST_REPORTS = 3;

const isUnfinished = (task) => UNFINISHED.includes(task.state);
/** Whether the task has had an attempt, so that it may have stored something. */
export const hasBegun = (task) => task.started !== null && task.state !== "upstream_failed";

/**
 * Return a row for each task of each connection, the most urgent first.
 *
 * `details` contains what `readDetails` has returned, by the id of the task instance.
 */
export function rowsOf(tasks, details, since, now) {
  const byKey = new Map();
  const imodels = new Map();
  const names = new Map();
  for (const [task, place] of placed(tasks, details)) {
    const key = JSON.stringify([task.dagId, task.taskId, ...Object.values(place)]);
    if (!byKey.has(key)) {
      byKey.set(key, { key, ...place, step: task.step, kind: task.step ?? task.kind ?? details.get(task.id)?.ref?.kind ?? null, tasks: [] });
    }
    byKey.get(key).tasks.push(task);
    const { imodel, name } = details.get(task.id) ?? {};
    if (imodel) {
      imodels.set(nameOf(place), imodel);
    }
    if (name) {
      names.set(nameOf(place), name);
    }
  }
  const rows = [];
  for (const row of byKey.values()) {
    row.tasks.sort((one, other) => momentOf(other, now) - momentOf(one, now));
    const [latest, ...earlier] = row.tasks;
    if (isUnfinished(latest) || latest.ended >= since) {
      const known = { imodel: imodels.get(nameOf(row)) ?? null, name: names.get(nameOf(row)) ?? null };
      rows.push(describe({ ...row, latest, earlier, ...known }, details, since, now));
    }
  }
  return rows.sort(
    (one, other) =>
      one.severity - other.severity || compare(one.connection, other.connection) || compare(one.key, other.key),
  );
}

function describe(row, details, since, now) {
  const { latest, earlier } = row;
  const detail = details.get(latest.id) ?? null;
  const report = detail?.report ?? null;
  const usual = median(
    earlier.filter((task) => task.state === "success" && task.duration !== null).slice(0, MOST_TASKS).map((task) => task.duration),
  );
  const took = latest.ended === null || isUnfinished(latest) ? elapsed(latest, now) : latest.duration;
  const output = detail?.output ?? null;
  const files = failingFiles(detail);
  const before = earlier
    .filter((task) => details.get(task.id)?.report ?? details.get(task.id)?.output)
    .slice(0, MOST_REPORTS)
    .map((task) => ({ task, names: new Set(failingFiles(details.get(task.id)).map((file) => file.id)) }));
  const described = {
    ...row,
    shown: earlier.filter((task) => isUnfinished(task) || task.ended >= since),
    detail,
    report,
    output,
    took,
    usual,
    isLate: usual !== null && took !== null && took > usual * LATE_FACTOR && took - usual > LATE_SECONDS,
    queue: queueOf(latest, detail, now),
    files: files.map((file) => ({ ...file, before: before.filter(({ names }) => names.has(file.id)).length })),
    moreFiles: report?.more_failing_tasks ?? (row.step === "upload" && output ? Math.max(0, totalOf(output, "failed") - files.length) : 0),
    compared: before.length,
  };
  return { ...described, severity: severityOf(described) };
}

/** The time at which a task ended; unfinished tasks are the latest. */
const momentOf = (task, now) => (isUnfinished(task) ? now + (task.started ?? 0) : (task.ended ?? 0));
const elapsed = (task, now) => (task.started === null || task.state === "up_for_retry" ? null : (now - task.started) / 1000);
const compare = (one, other) => String(one ?? "").localeCompare(String(other ?? ""), "en", { numeric: true });
const nameOf = ({ account, connection }) => JSON.stringify([account, connection]);

/** Each task with its connection, as far as it is known. */
function placed(tasks, details) {
  const known = new Map();
  const nameOfTask = ({ dagId, taskId, mapIndex }) => JSON.stringify([dagId, taskId, mapIndex]);
  const sure = tasks.map((task) => {
    const connection = task.connection ?? details.get(task.id)?.ref?.connection_id ?? null;
    if (connection !== null && !known.has(nameOfTask(task))) {
      known.set(nameOfTask(task), { account: task.account, connection, mapIndex: null });
    }
    return [task, connection];
  });
  return sure.map(([task, connection]) => {
    if (connection !== null) {
      return [task, { account: task.account, connection, mapIndex: null }];
    }
    // Airflow stores no parameters of a task that starts in the triggerer, nor of one that has not begun.
    return [task, (hasBegun(task) && known.get(nameOfTask(task))) || { account: null, connection, mapIndex: task.mapIndex }];
  });
}

/** The median of durations; null if there are too few. */
export function median(values) {
  if (values.length < LEAST_TASKS) {
    return null;
  }
  const sorted = [...values].sort((one, other) => one - other);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Files that failed in a run, or in an upload. */
function failingFiles(detail) {
  const { report, output } = detail ?? {};
  if (Array.isArray(output?.failed)) {
    return output.failed.map((file) => ({ id: String(file.path), name: String(file.path), result: "failed" }));
  }
  return (report?.failing_tasks ?? []).map((file) => ({
    id: String(file.file_id ?? file.file_name ?? ""),
    name: String(file.file_name ?? (file.file_id ? `file ${file.file_id}` : "file with unknown id")),
    result: file.result,
  }));
}

/** What the task waits or waited for before its run began, and for how many seconds. */
function queueOf(task, detail, now) {
  if (task.waits !== null) {
    return { place: "airflow", seconds: (now - task.waits) / 1000 };
  }
  if (!task.runs || task.started === null) {
    return null;
  }
  if (task.state === "deferred" || task.state === "up_for_reschedule") {
    return detail && !detail.hidden && !detail.ref ? { place: "imodel", seconds: (now - task.started) / 1000 } : null;
  }
  const began = Date.parse(detail?.report?.started ?? "");
  const seconds = (began - task.started) / 1000;
  return seconds >= 1 ? { place: "before", seconds } : null;
}

function severityOf({ latest, files, moreFiles, isLate }) {
  const states = ["failed", "upstream_failed", "up_for_retry"];
  if (states.includes(latest.state)) {
    return states.indexOf(latest.state);
  }
  if (files.length || moreFiles) {
    return 3;
  }
  if (isLate) {
    return 4;
  }
  return isUnfinished(latest) ? 5 : latest.state === "success" ? 6 : 7;
}

/** The number of different connections; a step without a connection counts as none. */
export const connectionsOf = (rows) =>
  new Set(rows.filter((row) => row.connection || !row.step).map((row) => (row.connection ? nameOf(row) : row.key))).size;

/** Whether a person has to look at a row. */
export const isProblem = (row) => row.severity < 5;

/**
 * Return what is missing for these rows, in the order in which it is needed.
 *
 * Of a task that is not `whole`, only the connection is needed, so that no task is listed with those of another connection.
 */
export function missing(rows, details) {
  const own = [];
  const others = [];
  const places = [];
  for (const { latest, earlier, shown, files, imodel } of rows) {
    places.push(...shown.filter((task) => hasBegun(task) && task.connection === null && !task.asked && !details.has(task.id)));
    const lacks = (task) => hasBegun(task) && !details.has(task.id);
    if (lacks(latest)) {
      own.push(latest);
    } else if (files.length) {
      others.push(...earlier.filter(hasBegun).slice(0, MOST_REPORTS).filter(lacks));
    } else if (imodel === null) {
      others.push(...earlier.filter(hasBegun).slice(0, 1).filter(lacks));
    }
  }
  const whole = [...own, ...others].map((task) => ({ task, whole: true }));
  return [...whole, ...places.map((task) => ({ task, whole: false }))];
}
