"use strict";

// Polls the emulator every second and updates only what has changed, so that selection and focus are kept.

const POLL_INTERVAL = 1000;
const SEVERITY = { Success: "good", Skipped: "good", PartialSuccess: "warn", Undetermined: "warn" };
const cards = new Map();
const jobRows = new Map();
const announced = new Map();
let failedPolls = 0;

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "onclick") node.addEventListener("click", value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function plural(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

function clock(timestamp) {
  return timestamp.slice(11, 19);
}

function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function severity(run) {
  if (run.state !== "Completed") return "busy";
  return SEVERITY[run.result] || "bad";
}

async function post(path, body) {
  const response = await fetch(`/emulator/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    const { error } = await response.json().catch(() => ({ error: response.statusText }));
    notice(error);
  }
  poll(false);
}

function notice(text) {
  const node = document.getElementById("notice");
  node.hidden = !text;
  put(node, text || "");
}

function makeCard(one) {
  const parts = {
    title: element("h3"),
    where: element("p", { class: "where" }),
    id: element("p", { class: "id" }),
    start: element("button", { type: "button", text: "Start run", onclick: () => post("runs", { connection_id: one.id }) }),
    succeed: element("button", { type: "button", class: "plain", text: "Finish with success", onclick: () => post("runs/finish", { connection_id: one.id, run_id: null, result: "Success" }) }),
    fail: element("button", { type: "button", class: "plain", text: "Finish with error", onclick: () => post("runs/finish", { connection_id: one.id, run_id: null, result: "Error" }) }),
    state: element("strong"),
    files: element("span", { class: "quiet" }),
    bar: element("progress", { max: "1" }),
    error: element("p", { class: "bad" }),
    summary: element("summary"),
    failures: element("ul", { class: "failures" }),
    history: element("ul", { class: "history" }),
  };
  parts.title.id = `title-${one.id}`;
  parts.bar.setAttribute("aria-labelledby", parts.title.id);
  for (const name of ["start", "succeed", "fail"]) parts[name].setAttribute("aria-describedby", parts.title.id);
  parts.details = element("details", {}, parts.summary, parts.failures);
  parts.now = element("div", { class: "now" }, element("div", { class: "line" }, parts.state, parts.files), parts.bar);
  parts.card = element(
    "li",
    { class: "card" },
    element(
      "div",
      { class: "head" },
      element("div", {}, parts.title, parts.where, parts.id),
      element("div", { class: "buttons" }, parts.start, parts.succeed, parts.fail),
    ),
    parts.now,
    parts.error,
    parts.details,
    parts.history,
  );
  return parts;
}

function showCard(parts, one) {
  const newest = one.runs[0];
  const active = newest !== undefined && newest.state !== "Completed";
  put(parts.title, one.name);
  const history = `${one.changesets ? `, ${plural(one.changesets, "changeset")}` : ""}${one.namedVersions ? `, ${plural(one.namedVersions, "named version")}` : ""}`;
  put(parts.where, `${one.imodel}${history}, ${one.itwin} · ${one.kind} connection, ${plural(one.files, "file")}${one.authenticationType === "User" ? ", runs as its owner" : ""}`);
  put(parts.id, one.id);
  parts.card.classList.toggle("active", active);
  parts.start.hidden = active;
  parts.succeed.hidden = parts.fail.hidden = !active;
  parts.now.hidden = !active;
  if (active) {
    put(parts.state, newest.state);
    put(parts.files, `${newest.files.done} of ${plural(newest.files.total, "file")}${newest.files.failed ? `, ${newest.files.failed} failed` : ""} · ${duration(newest.seconds)}`);
    parts.bar.value = newest.share;
  }
  parts.error.hidden = !newest || !newest.error;
  put(parts.error, (newest && newest.error) || "");
  const failures = newest ? newest.failures : [];
  parts.details.hidden = failures.length === 0;
  put(parts.summary, `${plural(newest ? newest.files.failed : 0, "failing file")}`);
  showList(parts.failures, failures, (failure) =>
    element(
      "li",
      {},
      element("strong", { text: failure.file }),
      ` (${failure.connector}): ${failure.message} `,
      element("span", { class: "fix", text: `${failure.details} (${failure.canUserFix ? "can" : "cannot"} be fixed by the user)` }),
    ),
  );
  const ended = one.runs.filter((run) => run.state === "Completed");
  parts.history.hidden = ended.length === 0;
  parts.history.setAttribute("aria-label", "Newest runs");
  showList(parts.history, ended, (run) =>
    element(
      "li",
      {},
      element("span", { class: `mark ${severity(run)}`, text: run.result }),
      element("time", { datetime: run.started, text: `${clock(run.started)}, ${duration(run.seconds)}` }),
    ),
  );
  announce(one, newest);
}

function showList(node, items, make) {
  const key = JSON.stringify(items);
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(...items.map(make));
}

// Announces the start and the end of runs to screen readers.
function announce(one, run) {
  const before = announced.get(one.id);
  const now = run ? `${run.id} ${run.state === "Completed" ? run.result : "runs"}` : "";
  announced.set(one.id, now);
  if (before === undefined || before === now || !run) return;
  put(document.getElementById("announcer"), run.state === "Completed" ? `${one.name}: run ended, ${run.result}` : `${one.name}: run started`);
}

const SUCCESSES = ["Succeeded", "Completed", "Success"];

function jobSeverity(job) {
  if (job.active) return "busy";
  return SUCCESSES.includes(job.state) ? "good" : job.state === "PartiallySucceeded" ? "warn" : "bad";
}

function makeJobRow(job) {
  const label = job.type ? `${job.kind}, ${job.type}` : job.kind;
  const parts = {
    state: element("span"),
    error: element("span"),
    progress: element("td"),
    time: element("time", { datetime: job.created }),
    finish: element("button", { type: "button", class: "plain", text: "Finish", "aria-label": `Finish ${label} ${job.id}`, onclick: () => post("jobs/finish", { job_id: job.id }) }),
  };
  parts.row = element(
    "tr",
    {},
    element("td", { title: job.iModelId || job.iTwinId }, job.name ? `${job.name} (${label})` : label, element("span", { class: "id", text: job.id })),
    element("td", {}, parts.state, parts.error),
    parts.progress,
    element("td", {}, parts.time),
    element("td", {}, parts.finish),
  );
  return parts;
}

function showJob(parts, job) {
  parts.state.className = `mark ${jobSeverity(job)}`;
  put(parts.state, job.waiting ? `${job.state}, waiting` : job.state);
  put(parts.error, job.error ? ` ${job.error}` : "");
  put(parts.progress, `${Math.round(job.percentage)} %`);
  put(parts.time, `${clock(job.created)}, ${duration(job.seconds)}`);
  parts.finish.hidden = !job.active;
}

function showJobs(data) {
  document.getElementById("jobs-section").hidden = data.jobs.length === 0;
  const more = document.getElementById("more-jobs");
  more.hidden = data.hiddenJobs === 0;
  put(more, `${data.hiddenJobs} more jobs are not displayed.`);
  const list = document.getElementById("jobs");
  const present = new Set(data.jobs.map((job) => job.id));
  for (const [id, parts] of jobRows) {
    if (!present.has(id)) {
      parts.row.remove();
      jobRows.delete(id);
    }
  }
  data.jobs.forEach((job, index) => {
    if (!jobRows.has(job.id)) jobRows.set(job.id, makeJobRow(job));
    const parts = jobRows.get(job.id);
    // Rows that are in their place are not moved, so that a button keeps the focus.
    if (list.children[index] !== parts.row) list.insertBefore(parts.row, list.children[index] || null);
    showJob(parts, job);
  });
}

function show(data) {
  const facts = [
    ["Speed", `${data.speed} × `.trim()],
    ["Active runs", String(data.active)],
    ["Active jobs", String(data.activeJobs)],
    ["Requests", String(data.requests)],
    ["Scripted faults", String(data.faults)],
    ["Rate limit", data.tier || "none"],
    ["Service time", `${clock(data.now)} UTC`],
  ];
  const node = document.getElementById("facts");
  if (!node.children.length) {
    node.append(...facts.map(([name]) => element("div", {}, element("dt", { text: name }), element("dd"))));
  }
  facts.forEach(([, value], index) => put(node.children[index].lastChild, value));

  const list = document.getElementById("connections");
  for (const one of data.connections) {
    if (!cards.has(one.id)) {
      cards.set(one.id, makeCard(one));
      list.append(cards.get(one.id).card);
    }
    showCard(cards.get(one.id), one);
  }
  const present = new Set(data.connections.map((one) => one.id));
  for (const [id, parts] of cards) {
    if (!present.has(id)) {
      parts.card.remove();
      cards.delete(id);
    }
  }
  document.getElementById("none").hidden = data.connections.length > 0;
  const more = document.getElementById("more");
  more.hidden = data.hidden === 0;
  put(more, `${data.hidden} more connections are not displayed.`);

  showJobs(data);

  document.getElementById("storage").hidden = data.files.length === 0;
  const moreFiles = document.getElementById("more-files");
  moreFiles.hidden = data.hiddenFiles === 0;
  put(moreFiles, `${data.hiddenFiles} more files are not displayed.`);
  showList(document.getElementById("files"), data.files, (file) =>
    element(
      "tr",
      {},
      element("td", { title: file.iTwinId }, file.path, element("span", { class: "id", text: file.id })),
      element("td", { text: file.size.toLocaleString("en-US") }),
      element("td", { text: `${clock(file.modified)}, ${file.modifiedBy}` }),
    ),
  );

  document.getElementById("quiet").hidden = data.recent.length > 0;
  document.getElementById("request-table").hidden = data.recent.length === 0;
  showList(document.getElementById("requests"), data.recent, (entry) => {
    const bad = entry.status === null || entry.status >= 400;
    const status = entry.status === null ? "connection closed" : String(entry.status);
    return element(
      "tr",
      {},
      element("td", { text: clock(entry.at) }),
      element("td", { title: `${entry.method} ${entry.path}` }, entry.operation || `${entry.method} ${entry.path}`, entry.connection || entry.job ? element("span", { class: "id", text: entry.connection || entry.job }) : null),
      element("td", {}, element("span", { class: bad ? "bad" : "", text: status }), entry.fault ? ` (${entry.fault})` : ""),
    );
  });
}

async function poll(again) {
  try {
    const response = await fetch("/emulator/dashboard", { cache: "no-store" });
    show(await response.json());
    if (failedPolls) notice("");
    failedPolls = 0;
  } catch (error) {
    failedPolls += 1;
    if (failedPolls === 2) notice("No connection to the emulator; retrying.");
  }
  if (again) setTimeout(poll, document.hidden ? 5 * POLL_INTERVAL : POLL_INTERVAL, true);
}

function showSignIn() {
  const parameters = new URLSearchParams(location.search);
  const client = parameters.get("sign-in");
  if (!client) return;
  document.getElementById("sign-in").hidden = false;
  put(document.getElementById("sign-in-text"), `Client ${client} requests a stored sign-in for its User connections.`);
  document.getElementById("sign-in-button").addEventListener("click", async () => {
    await post("clients/sign-in", { client_id: client, signed_in: true });
    document.getElementById("sign-in").hidden = true;
    const back = parameters.get("redirectUrl");
    if (back && /^https?:\/\//i.test(back)) location.assign(back);
  });
}

showSignIn();
poll(true);
