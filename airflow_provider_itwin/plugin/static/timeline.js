// The timeline: a bar for each job and each of its files, or a histogram of many files by end time.

import { h, styled } from "./dom.js";
import { clock, count, duration, grouped, signOf, toneOf } from "./words.js";

const MOST_LANES = 8;
const SEVERITY = ["bad", "late", "unsure", "stopped", "partial", "skipped", "plain", "good"];

export function timeline(report) {
  const { timeline: times, started } = report;
  const jobs = times.jobs ?? [];
  const files = times.tasks ?? [];
  const results = new Set([...jobs, ...files].map((one) => one.result).filter(Boolean));
  Object.keys(times.finished ?? {}).forEach((result) => results.add(result));
  return h(
    "section",
    { class: "timeline" },
    h("h3", {}, "Timeline"),
    times.finished && histogram(times),
    h(
      "ol",
      { class: "jobs" },
      jobs.map((job, place) =>
        row(
          job,
          files.filter((file) => file.job === place),
          times.length,
        ),
      ),
    ),
    axis(times.length, started),
    times.more_jobs > 0 && h("p", { class: "quiet" }, `… and ${count(times.more_jobs, "more job")}.`),
    h(
      "ul",
      { class: "results legend", "aria-label": "Colours" },
      [...results].map((result) => h("li", {}, dot(result), result)),
    ),
  );
}

function dot(result) {
  const tone = toneOf(result);
  return h("span", { class: "dot sign", "data-tone": tone, "aria-hidden": "true" }, signOf(tone));
}

function row(job, files, length) {
  const known = job.start !== null && job.end !== null;
  const took = known ? duration(job.end - job.start) : "times unknown";
  const track = h("div", { class: "track", "aria-hidden": "true" });
  if (known) {
    track.append(bar(job, length, `${job.connector ?? "Job"}: ${job.result ?? "no result"}, ${took}`, "job"));
  }
  if (files.length) {
    const { lanes, places } = inLanes(files);
    const space = styled(h("div", { class: "files" }), { height: `${lanes * 10}px` });
    files.forEach((file, place) => {
      const text = `${file.result ?? "no result"}, ${duration(file.end - file.start)}`;
      space.append(styled(bar(file, length, text, "file"), { top: `${places[place] * 10}px` }));
    });
    track.append(space);
  }
  return h(
    "li",
    {},
    h(
      "div",
      { class: "label" },
      h("span", { class: "name" }, job.connector ?? "Job"),
      h("span", { class: "quiet" }, `${count(job.tasks, "file")} · ${job.result ?? "no result"} · ${took}`),
    ),
    track,
  );
}

function bar(span, length, text, kind) {
  const left = Math.min(99.7, (100 * span.start) / length);
  const width = Math.min(100 - left, Math.max(0.3, (100 * (span.end - span.start)) / length));
  const element = h("div", { class: `bar ${kind}`, "data-tone": toneOf(span.result), title: text });
  return styled(element, { left: `${left}%`, width: `${width}%` });
}

/** Assign overlapping spans to different lanes; the last lane is shared. */
function inLanes(spans) {
  const ends = [];
  const places = new Array(spans.length);
  const order = spans.map((_, place) => place).sort((one, other) => spans[one].start - spans[other].start);
  for (const place of order) {
    let lane = ends.findIndex((end) => end <= spans[place].start);
    if (lane < 0) {
      lane = Math.min(ends.length, MOST_LANES - 1);
    }
    ends[lane] = Math.max(ends[lane] ?? 0, spans[place].end);
    places[place] = lane;
  }
  return { lanes: ends.length, places };
}

function histogram({ finished, length }) {
  const results = Object.keys(finished).sort((one, other) => SEVERITY.indexOf(toneOf(other)) - SEVERITY.indexOf(toneOf(one)));
  const slices = finished[results[0]]?.length ?? 0;
  const sums = Array.from({ length: slices }, (_, slice) =>
    results.reduce((sum, result) => sum + finished[result][slice], 0),
  );
  const most = Math.max(1, ...sums);
  const each = length / (slices || 1);
  const columns = sums.map((sum, slice) => {
    const parts = results.filter((result) => finished[result][slice] > 0);
    const text = parts.map((result) => `${grouped(finished[result][slice])} ${result}`).join(", ") || "none";
    const column = h("div", { class: "column", title: `${duration(slice * each)} – ${duration((slice + 1) * each)}: ${text}` });
    for (const result of parts) {
      const part = h("div", { class: "part", "data-tone": toneOf(result) });
      // One file among thousands must be visible.
      column.append(styled(part, { height: `max(${(100 * finished[result][slice]) / most}%, 3px)` }));
    }
    return column;
  });
  const busiest = sums.indexOf(Math.max(...sums));
  const spoken =
    `Files that ended over time: ${results.map((result) => `${grouped(finished[result].reduce((a, b) => a + b, 0))} ${result}`).join(", ")};` +
    ` the most, ${grouped(most)}, between ${duration(busiest * each)} and ${duration((busiest + 1) * each)}.`;
  return h(
    "figure",
    {},
    h("figcaption", { class: "quiet" }, `Files that ended in each ${duration(each)} (at most ${grouped(most)})`),
    h("div", { class: "histogram", role: "img", "aria-label": spoken }, columns),
  );
}

function axis(length, started) {
  const at = (part) => {
    const time = started ? clock(new Date(Date.parse(started) + 1000 * length * part).toISOString()) : "";
    return h("span", {}, duration(length * part), time && h("span", { class: "clock" }, time));
  };
  return h("div", { class: "axis", "aria-hidden": "true" }, at(0), at(0.5), at(1));
}
