// Draws the output of a task without a run: the files of a transfer, a named version, or the report of a job.

import { badge, h } from "./dom.js";
import { OUTCOMES, totalOf } from "./steps.js";
import { numbers, table } from "./tables.js";
import { bytes, duration, excerpt, grouped } from "./words.js";

const code = (value) => value != null && value !== "" && h("code", {}, excerpt(value));

/** The badge in the heading; null if the state of the task says it all. */
export function badgeOf(step, output) {
  if (step === "upload") {
    return totalOf(output, "failed") > 0 ? badge("failed") : null;
  }
  if (step === "job") {
    return badge(output.state ?? "no state", JOB_TONES[output.outcome]);
  }
  return step === "named version" ? badge(output.created ? "created" : "found") : null;
}

/** The facts in the heading, as pairs of name and content. */
export function factsOf(step, output) {
  if (step === "upload") {
    return [
      ["Folder", code(output.folder_id)],
      ["Added to the connection", Number(output.totals?.connected) > 0 && grouped(output.totals.connected)],
      ["Removed from the connection", Number(output.removed_from_connection) > 0 && grouped(output.removed_from_connection)],
    ];
  }
  if (step === "named version") {
    return [
      ["Named version", code(output.id)],
      ["Changeset", output.changeset_id && [output.changeset_index != null && `${output.changeset_index} `, code(output.changeset_id)]],
      ["iModel", code(output.imodel_id)],
    ];
  }
  if (step === "job") {
    return [
      ["Job", code(output.job_id)],
      ["Progress", output.progress != null && `${output.progress} %`],
      ["Result", code(output.result_path)],
    ];
  }
  return [];
}

/** The sections below the heading. */
export function sectionsOf(step, output) {
  if (step === "upload") {
    return [uploaded(output), uploadedFiles(output)];
  }
  if (step === "job") {
    return output.messages?.length ? [messages(output)] : [];
  }
  return step === "download" ? [downloadedFiles(output)] : [];
}

const JOB_TONES = { passed: "good", warned: "warn", failed: "bad" };

function messages(report) {
  const rows = (report.messages ?? []).map(({ level, code: name, text }) => [badge(level, level === "error" ? "bad" : "warn"), code(name), excerpt(text)]);
  return table("messages", "Messages", ["Level", "Code", "Message"], rows, Number(report.messages_left_out ?? 0), "message");
}

function uploaded(report) {
  const { bytes_sent: sent, seconds } = report.totals;
  const fates = OUTCOMES.filter((outcome) => outcome !== "not tried" || totalOf(report, outcome) > 0);
  return numbers([
    ...fates.map((outcome) => [grouped(totalOf(report, outcome)), outcome]),
    [bytes(sent), `sent in ${duration(seconds)}`],
    ...(sent > 0 && seconds > 0 ? [[`${bytes(sent / seconds)}/s`, "on average"]] : []),
  ]);
}

function uploadedFiles(report) {
  const files = [
    ...(report.failed ?? []).map(({ path, error }) => [excerpt(path), badge("failed"), "–", excerpt(error)]),
    ...(report.files ?? []).map(({ path, outcome, size }) => [excerpt(path), badge(outcome), bytes(size), ""]),
    ...(report.gone ?? []).map((path) => [excerpt(path), badge("gone"), "–", "No longer in the source; it stays in iTwin Storage."]),
  ];
  const total = OUTCOMES.reduce((sum, outcome) => sum + totalOf(report, outcome), 0);
  return table("files", "Files", ["File", "Outcome", ["Size", "number"], "Reason"], files, Math.max(0, total - files.length), "file");
}

function downloadedFiles(files) {
  const rows = files.map((file) => [
    file.name ? excerpt(file.name) : code(file.file_id),
    excerpt(file.path),
    h("span", { title: `${grouped(file.size)} bytes` }, bytes(file.size)),
    h("code", { class: "digest" }, excerpt(file.sha256)),
  ]);
  return table("files", "Files", ["File", "Path", ["Size", "number"], "SHA-256"], rows, 0, "file");
}
