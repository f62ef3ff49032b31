// Reads task instances from Airflow's REST API, with the permissions of the user. No other service is called.

import { JOB_KEY, UPLOAD_KEY, keyOf, stepOf } from "./steps.js";

const ITWIN_TASK = /^ITwin/;
const OVER = new Set(["success", "failed", "skipped", "upstream_failed", "removed"]);
const NOT_BEGUN = new Set([null, "none", "scheduled", "queued", "restarting", "upstream_failed", "removed"]);
// Part of run_ref, run_report, upload_report, job_report and return_value. They are listed first: a request for a missing XCom would log an
// error in the browser's console.
const OUR_KEYS = { xcom_key_pattern: "re", limit: "100" };
const MOST_LINES = 12;

export class Refusal extends Error {
  constructor(status) {
    super(`Airflow returned ${status}`);
    this.status = status;
  }
}

/** Whether the state is final. */
export const isOver = (state) => OVER.has(state);

/** Read a task instance once: its latest attempt, or an earlier one. */
export async function readTask(place, chosen, signal) {
  const instance = path("dags", place.dagId, "dagRuns", place.runId, "taskInstances", place.taskId);
  const index = { map_index: place.mapIndex };
  const task = await ask(`${instance}/${encodeURIComponent(place.mapIndex)}`, {}, signal);
  if (task === null) {
    return null;
  }
  const latest = task.try_number;
  const operator = task.operator_name ?? task.operator ?? "";
  const number = chosen !== null && chosen < latest ? chosen : latest;
  const seen = {
    task: pick(task),
    tries: latest,
    number,
    ours: ITWIN_TASK.test(operator),
    step: stepOf(operator),
    output: null,
    ref: null,
    report: null,
    unreadable: false,
    hidden: false,
    log: null,
  };
  if (number < latest) {
    const tries = await ask(`${instance}/${encodeURIComponent(place.mapIndex)}/tries`, {}, signal);
    const earlier = tries?.task_instances?.find((one) => one.try_number === number);
    if (earlier) {
      seen.task = pick(earlier);
    }
  } else if (!NOT_BEGUN.has(task.state)) {
    // Until an attempt begins, Airflow keeps the XComs of the previous one.
    const listed = await leniently(ask(`${instance}/xcomEntries`, { ...index, ...OUR_KEYS }, signal));
    const keys = new Set(listed?.xcom_entries?.map((entry) => entry.key));
    const left = (key) => (keys.has(key) ? leniently(ask(`${instance}/xcomEntries/${key}`, index, signal)) : null);
    // Subclasses of the operators are known by what they store.
    if (!keys.has("run_ref")) {
      seen.step ??= keys.has(UPLOAD_KEY) ? "upload" : keys.has(JOB_KEY) || keys.has("job_ref") ? "job" : null;
    }
    const wanted = seen.step ? [null, null, keyOf(seen.step)] : ["run_ref", "run_report", null];
    const [ref, report, output] = await Promise.all(wanted.map((key) => left(key)));
    seen.hidden = [listed, ref, report, output].includes(undefined);
    seen.output = outputOf(seen.step, output);
    seen.report = valueOf(report);
    seen.ref = valueOf(ref) ?? seen.report?.ref ?? null;
    seen.unreadable = (Boolean(report) && seen.report === null) || (Boolean(output) && seen.output === null);
    seen.ours ||= isRef(seen.ref) || isUpload(seen) || isJob(seen, keys);
    if (!seen.ours) {
      // XComs of another operator with the same keys.
      Object.assign(seen, { ref: null, report: null, step: null, output: null, unreadable: false });
    }
  }
  if (seen.ours && number > 0 && ((seen.report ?? seen.output) === null || !isOver(seen.task.state))) {
    const log = await leniently(ask(`${instance}/logs/${number}`, index, signal));
    seen.log = log ? parseLog(log.content) : null;
  }
  return seen;
}

function pick({ state, start_date, end_date, try_number, max_tries }) {
  return { state: state ?? null, start_date, end_date, try_number, max_tries };
}

function isRef(value) {
  return typeof value?.connection_id === "string" && typeof value?.run_id === "string";
}

function isUpload({ step, output }) {
  return step === "upload" && typeof output?.folder_id === "string" && typeof output.totals === "object";
}

function isJob({ step, output }, keys) {
  return step === "job" && (output === null ? keys.has("job_ref") : typeof output.job_id === "string");
}

/** The output of a step in an XCom; null if there is none, or it is of another type. */
export function outputOf(step, entry) {
  const value = parsed(entry);
  return value !== null && typeof value === "object" && Array.isArray(value) === (step === "download") ? value : null;
}

/** The object in an XCom; null if there is none, or the REST API cannot read it. */
export const valueOf = (entry) => outputOf(null, entry);

function parsed(entry) {
  let value = entry?.value;
  try {
    for (let times = 0; typeof value === "string" && times < 2; times += 1) {
      value = JSON.parse(value);
    }
  } catch {
    return null;
  }
  return value ?? null;
}

/** The log lines about the run, and the error of the task. */
function parseLog(content) {
  const lines = [];
  let failure = null;
  for (const entry of Array.isArray(content) ? content : []) {
    const event = typeof entry === "string" ? entry : entry?.event;
    for (const error of entry?.error_detail ?? []) {
      failure = { type: String(error.exc_type ?? ""), text: String(error.exc_value ?? "") };
    }
    const level = String(entry?.level ?? "info");
    if (typeof event === "string" && (/airflow_provider_itwin|ITwin/.test(entry?.logger ?? "") || level === "error")) {
      lines.push({ at: entry.timestamp ?? null, level, text: event });
    }
  }
  const states = lines.map((line) => /^(?:Run \S+|.+ \S+) is (\w+(?: \([\d.]+ %\))?) after /.exec(line.text)).filter(Boolean);
  return { lines: lines.slice(-MOST_LINES), failure, state: states.at(-1)?.[1] ?? null };
}

/** Undefined instead of an error: a missing permission for one part must not hide the others. */
export async function leniently(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Refusal && error.status !== 401) {
      return undefined;
    }
    throw error;
  }
}

export const path = (...parts) => parts.map((part) => encodeURIComponent(part)).join("/");

/** Send a GET request; null if there is no such resource. A query value can be an array. */
export async function ask(resource, query, signal) {
  const address = new URL(`api/v2/${resource}`, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    [value].flat().forEach((one) => address.searchParams.append(name, one));
  }
  const headers = { Accept: "application/json" };
  // Airflow 3.1.0 has the token here; later versions have it in a cookie.
  const token = localStorage.getItem("token");
  if (token) {
    headers.Authorization = `Bearer ${token}`;
  }
  const answer = await fetch(address, { headers, signal, credentials: "same-origin", redirect: "error" });
  if (answer.status === 404) {
    return null;
  }
  if (!answer.ok) {
    throw new Refusal(answer.status);
  }
  return answer.json();
}
