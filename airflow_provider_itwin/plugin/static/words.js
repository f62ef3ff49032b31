// Formats results, durations and times.

const TONES = {
  success: "good",
  partialsuccess: "partial",
  error: "bad",
  timedout: "late",
  canceled: "stopped",
  cancelled: "stopped",
  skipped: "skipped",
  undetermined: "unsure",
  created: "good",
  updated: "good",
  failed: "bad",
  gone: "late",
};
const SIGNS = { good: "✓", partial: "!", bad: "✕", late: "◷", stopped: "■", skipped: "»", unsure: "?", plain: "·" };
const STATES = { success: "good", failed: "bad", skipped: "skipped", up_for_retry: "late", upstream_failed: "stopped" };

const LONGEST_TEXT = 300;

/** The colour of a result. */
export const toneOf = (result) => TONES[String(result).toLowerCase()] ?? "plain";
export const toneOfState = (state) => STATES[state] ?? "plain";
/** The sign of a colour, for users who cannot see colours. */
export const signOf = (tone) => SIGNS[tone];

export const count = (number, word) => `${grouped(number)} ${word}${number === 1 ? "" : "s"}`;
export const grouped = (number) => Number(number ?? 0).toLocaleString("en");

/** A number of bytes, as the log of a task has it. */
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let value = Number(number ?? NaN);
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return Number.isFinite(value) ? `${value.toFixed(unit && value < 100 ? 1 : 0)} ${units[unit]}` : "–";
}

/** A text of bounded length. */
export function excerpt(text) {
  const whole = String(text ?? "");
  return whole.length > LONGEST_TEXT ? `${whole.slice(0, LONGEST_TEXT)} …` : whole;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(Number(seconds))) {
    return "–";
  }
  if (seconds < 10) {
    return `${Math.round(seconds * 10) / 10} s`;
  }
  if (seconds < 100) {
    return `${Math.round(seconds)} s`;
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The time since a moment. */
export function elapsed(moment) {
  const seconds = (Date.now() - Date.parse(moment)) / 1000;
  return Number.isFinite(seconds) ? duration(Math.max(0, Math.round(seconds))) : "–";
}

/** A moment in the time zone that the user has chosen in Airflow. */
export function moment(text, style = { dateStyle: "medium", timeStyle: "long" }) {
  const date = new Date(text ?? "");
  if (Number.isNaN(date.getTime())) {
    return "–";
  }
  try {
    return date.toLocaleString("en-GB", { ...style, timeZone: chosenZone() });
  } catch {
    return date.toLocaleString("en-GB", { ...style, timeZone: "UTC" });
  }
}

export const brief = (text) => moment(text, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export const clock = (text) => moment(text).match(/\d+:\d+:\d+/)?.[0] ?? "";

function chosenZone() {
  const kept = localStorage.getItem("timezone");
  const zone = kept?.startsWith('"') ? JSON.parse(kept) : kept;
  return zone && zone !== "local" ? zone : undefined;
}
