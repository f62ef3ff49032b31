// Tasks that have no run: the other steps of a night, and jobs. And what they store.

import { bytes, count, grouped } from "./words.js";

const STEPS = {
  ITwinUploadFilesOperator: "upload",
  ITwinCreateNamedVersionOperator: "named version",
  ITwinDownloadFileOperator: "download",
  ITwinJobOperator: "job",
  ITwinJobSensor: "job",
  ITwinTransformationOperator: "job",
  ITwinDiffOperator: "job",
  ITwinExtractionOperator: "job",
  ITwinRealityModelingOperator: "job",
  ITwinRealityAnalysisOperator: "job",
  ITwinRealityConversionOperator: "job",
};
/** The operators and sensors of jobs. */
export const JOB_OPERATORS = Object.keys(STEPS).filter((name) => STEPS[name] === "job");
export const UPLOAD_KEY = "upload_report";
export const JOB_KEY = "job_report";
const RUNNING = {
  upload: "The task uploads files; it has no report yet.",
  "named version": "The task is running; it has no named version yet.",
  download: "The task downloads files; it has no list of them yet.",
  job: "The task waits for its job.",
};
const WITHOUT = {
  upload: "The task ended without an upload report.",
  "named version": "The task returned no named version.",
  download: "The task returned no files.",
  job: "The task ended without a job report.",
};
/** The outcomes of an upload, the most urgent first. */
export const OUTCOMES = ["failed", "not tried", "created", "updated", "unchanged", "gone"];

/** The step of a task, by its class; null if the task has a run. */
export const stepOf = (operator) => STEPS[operator] ?? null;
/** The key of the XCom with the output of a step. */
export const keyOf = (step) => ({ upload: UPLOAD_KEY, job: JOB_KEY })[step] ?? "return_value";
/** What a step does while it has no output. */
export const runningOf = (step) => RUNNING[step];
/** What to say of a step that ended without an output. */
export const withoutOutput = (step) => WITHOUT[step];

/** The number of files with an outcome, in the report of an upload. */
export const totalOf = (report, outcome) => Number(report.totals?.[outcome.replace(" ", "_")] ?? 0);

/** One sentence about the output of a step. */
export function summaryOf(step, output) {
  if (step === "upload") {
    const found = OUTCOMES.filter((outcome) => totalOf(output, outcome) > 0);
    return found.map((outcome) => `${grouped(totalOf(output, outcome))} ${outcome}`).join(", ") || "No files";
  }
  if (step === "download") {
    return `${count(output.length, "file")}, ${bytes(output.reduce((sum, file) => sum + Number(file?.size ?? 0), 0))}`;
  }
  if (step === "job") {
    return `${output.name ?? "job"}: ${output.state ?? "unknown state"}`;
  }
  return output.changeset_index == null ? String(output.name) : `${output.name}, on changeset ${output.changeset_index}`;
}
