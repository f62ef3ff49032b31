// Lists the tasks of this provider in all DAGs that the user can read, page by page.

import { ask, leniently, outputOf, path, valueOf } from "./airflow.js";
import { JOB_OPERATORS, keyOf, stepOf } from "./steps.js";

/** The operators of this package. Airflow filters by exact class name. */
export const OPERATORS = [
  "ITwinRunStorageConnectionOperator",
  "ITwinRunManifestConnectionOperator",
  "ITwinRunExportConnectionOperator",
  "ITwinStorageConnectionRunSensor",
  "ITwinManifestConnectionRunSensor",
  "ITwinExportConnectionRunSensor",
  "ITwinListSourceFilesOperator",
  "ITwinUploadFilesOperator",
  "ITwinCreateNamedVersionOperator",
  "ITwinDownloadFileOperator",
  ...JOB_OPERATORS,
];
export const UNFINISHED = [
  "scheduled",
  "queued",
  "running",
  "deferred",
  "up_for_reschedule",
  "up_for_retry",
  "restarting",
];
const ENDED = ["success", "failed", "skipped", "upstream_failed"];
/** The states of earlier tasks that later ones are compared with. */
export const COMPARED = ["success", "failed"];

const PAGE = 100;
/** The largest number of pages that are read at once. */
export const MOST_PAGES = 10;
const MOST_PAGES_OF_PROBLEMS = 3;

/**
 * The lists of tasks, most urgent first. Each is an async iterator over pages.
 *
 * `since` is the start of the period, `before` the start of what is read for comparison.
 */
export function lists(since, before, signal) {
  const time = (moment) => new Date(moment).toISOString();
  const newest = { order_by: "-end_date" };
  return {
    unfinished: pages({ state: UNFINISHED, order_by: "start_date" }, signal),
    failed: pages({ ...newest, state: "failed", end_date_gte: time(since) }, signal),
    ended: pages({ ...newest, state: ENDED, end_date_gte: time(since) }, signal),
    history: pages({ ...newest, state: COMPARED, end_date_gte: time(before), end_date_lt: time(since) }, signal),
  };
}

/** How many pages of each list are read without being asked. */
export const LIMITS = { unfinished: MOST_PAGES_OF_PROBLEMS, failed: MOST_PAGES_OF_PROBLEMS, ended: MOST_PAGES };

async function* pages(query, signal) {
  let offset = 0;
  let total = Infinity;
  while (offset < total) {
    const found = await ask("dags/~/dagRuns/~/taskInstances", { ...query, operator: OPERATORS, limit: PAGE, offset }, signal);
    const tasks = found?.task_instances ?? [];
    // Airflow may return fewer than asked for.
    offset += tasks.length;
    total = tasks.length ? (found.total_entries ?? 0) : 0;
    yield { tasks: tasks.map(taskOf), total: found?.total_entries ?? 0, complete: offset >= total };
  }
}

function taskOf(one) {
  const seconds = (text) => (text ? Date.parse(text) : null);
  return {
    id: one.id,
    dagId: one.dag_id,
    runId: one.dag_run_id,
    taskId: one.task_id,
    mapIndex: one.map_index,
    name: one.task_display_name ?? one.task_id,
    dagName: one.dag_display_name ?? one.dag_id,
    state: one.state,
    attempt: one.try_number,
    attempts: one.max_tries + 1,
    kind: /Storage|Manifest|Export/.exec(one.operator ?? "")?.[0].toLowerCase() ?? null,
    step: stepOf(one.operator),
    runs: /^ITwinRun/.test(one.operator ?? ""),
    waits: one.state === "scheduled" || one.state === "queued" ? seconds(one.scheduled_when ?? one.queued_when) : null,
    started: seconds(one.start_date),
    ended: seconds(one.end_date),
    duration: one.duration,
    ...placeOf(one),
  };
}

const placeOf = (one) => ({
  connection: text(one?.rendered_fields?.connection_id) ?? connectionOf(one?.rendered_fields?.run_ref),
  account: text(one?.rendered_fields?.itwin_conn_id),
});

/** The connection of a run, given as an object or as kind/connection/run. */
const connectionOf = (ref) => text(ref?.connection_id) ?? text(/^\w+\/([^/]+)\/[^/]+$/.exec(text(ref) ?? "")?.[1]);

const text = (value) => (typeof value === "string" && value ? value : null);

const pathOf = (task) => path("dags", task.dagId, "dagRuns", task.runId, "taskInstances", task.taskId);

/** Read the connection of a task; the lists of Airflow 3.1 and 3.2 do not contain it. */
export async function readPlace(task, signal) {
  return placeOf(await leniently(ask(`${pathOf(task)}/${task.mapIndex}`, {}, signal)));
}

/** Read what a task stored about its run: at most four requests. */
export async function readDetails(task, signal) {
  const entries = `${pathOf(task)}/xcomEntries`;
  const index = { map_index: task.mapIndex };
  // Listed first: a request for a missing XCom would log an error in the browser's console.
  const listed = await leniently(ask(entries, { ...index, limit: 100 }, signal));
  const keys = new Set(listed?.xcom_entries?.map((entry) => entry.key));
  const read = (key) => (keys.has(key) ? leniently(ask(`${entries}/${key}`, index, signal)) : null);
  const { step } = task;
  const [report, ref, output, page] = await Promise.all([
    step ? null : read("run_report"),
    step || keys.has("run_report") ? null : read("run_ref"),
    step && read(keyOf(step)),
    read("_link_ITwinIModelLink"),
  ]);
  const found = valueOf(report);
  const made = step && outputOf(step, output);
  return {
    hidden: [listed, report, output].includes(undefined),
    output: made,
    report: found,
    ref: found?.ref ?? valueOf(ref),
    name: text(found?.connection_name),
    imodel: text(found?.imodel_id) ?? text(made?.imodel_id) ?? imodelOf(page?.value),
  };
}

/** The id at the end of the URL of an iModel in Bentley's portal. */
function imodelOf(address) {
  const id = /\/iModel\/([\w%.-]+)"?$/.exec(text(address) ?? "")?.[1];
  try {
    return id ? decodeURIComponent(id) : null;
  } catch {
    return null;
  }
}
