"use strict";

// Asks the emulator every second what is going on, and changes only those parts of the page that have changed: whoever
// reads, or has a button in focus, is not disturbed.

const BEAT = 1000;
const FEELING = { Success: "good", Skipped: "good", PartialSuccess: "warn", Undetermined: "warn" };
const cards = new Map();
const told = new Map();
let away = 0;

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name === "onclick") made.addEventListener("click", value);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
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

function feeling(run) {
  if (run.state !== "Completed") return "busy";
  return FEELING[run.result] || "bad";
}

async function post(path, body) {
  const answer = await fetch(`/emulator/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) {
    const { error } = await answer.json().catch(() => ({ error: answer.statusText }));
    notice(error);
  }
  look(false);
}

function notice(text) {
  const place = document.getElementById("notice");
  place.hidden = !text;
  put(place, text || "");
}

function makeCard(one) {
  const parts = {
    title: element("h3"),
    where: element("p", { class: "where" }),
    id: element("p", { class: "id" }),
    start: element("button", { type: "button", text: "Start a run", onclick: () => post("runs", { connection_id: one.id }) }),
    succeed: element("button", { type: "button", class: "plain", text: "Let it succeed now", onclick: () => post("runs/finish", { connection_id: one.id, run_id: null, result: "Success" }) }),
    fail: element("button", { type: "button", class: "plain", text: "Let it fail now", onclick: () => post("runs/finish", { connection_id: one.id, run_id: null, result: "Error" }) }),
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
  put(parts.where, `${one.imodel}, ${one.itwin} · ${one.kind} connection, ${plural(one.files, "file")}${one.authenticationType === "User" ? ", runs as its owner" : ""}`);
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
      element("span", { class: "fix", text: `${failure.details} (${failure.canUserFix ? "you can" : "you cannot"} fix this)` }),
    ),
  );
  const ended = one.runs.filter((run) => run.state === "Completed");
  parts.history.hidden = ended.length === 0;
  parts.history.setAttribute("aria-label", "Newest runs");
  showList(parts.history, ended, (run) =>
    element(
      "li",
      {},
      element("span", { class: `mark ${feeling(run)}`, text: run.result }),
      element("time", { datetime: run.started, text: `${clock(run.started)}, ${duration(run.seconds)}` }),
    ),
  );
  announce(one, newest);
}

function showList(place, items, make) {
  const mark = JSON.stringify(items);
  if (place.dataset.mark === mark) return;
  place.dataset.mark = mark;
  place.replaceChildren(...items.map(make));
}

// Tells a screen reader when a run begins and ends, and nothing in between.
function announce(one, run) {
  const before = told.get(one.id);
  const now = run ? `${run.id} ${run.state === "Completed" ? run.result : "runs"}` : "";
  told.set(one.id, now);
  if (before === undefined || before === now || !run) return;
  put(document.getElementById("announcer"), run.state === "Completed" ? `${one.name}: ended, ${run.result}` : `${one.name}: a run has started`);
}

function show(seen) {
  const facts = [
    ["Speed", `${seen.speed} × `.trim()],
    ["Runs at work", String(seen.active)],
    ["Requests", String(seen.requests)],
    ["Faults waiting", String(seen.faults)],
    ["Rate limit", seen.tier || "none"],
    ["Service time", `${clock(seen.now)} UTC`],
  ];
  const place = document.getElementById("facts");
  if (!place.children.length) {
    place.append(...facts.map(([name]) => element("div", {}, element("dt", { text: name }), element("dd"))));
  }
  facts.forEach(([, value], index) => put(place.children[index].lastChild, value));

  const list = document.getElementById("connections");
  for (const one of seen.connections) {
    if (!cards.has(one.id)) {
      cards.set(one.id, makeCard(one));
      list.append(cards.get(one.id).card);
    }
    showCard(cards.get(one.id), one);
  }
  const there = new Set(seen.connections.map((one) => one.id));
  for (const [id, parts] of cards) {
    if (!there.has(id)) {
      parts.card.remove();
      cards.delete(id);
    }
  }
  document.getElementById("none").hidden = seen.connections.length > 0;
  const more = document.getElementById("more");
  more.hidden = seen.hidden === 0;
  put(more, `${seen.hidden} more are not shown.`);

  document.getElementById("quiet").hidden = seen.recent.length > 0;
  document.querySelector(".scroll").hidden = seen.recent.length === 0;
  showList(document.getElementById("requests"), seen.recent, (entry) => {
    const bad = entry.status === null || entry.status >= 400;
    const answer = entry.status === null ? "connection closed" : String(entry.status);
    return element(
      "tr",
      {},
      element("td", { text: clock(entry.at) }),
      element("td", { title: `${entry.method} ${entry.path}` }, entry.operation || `${entry.method} ${entry.path}`, entry.connection ? element("span", { class: "id", text: entry.connection }) : null),
      element("td", {}, element("span", { class: bad ? "bad" : "", text: answer }), entry.fault ? ` (${entry.fault})` : ""),
    );
  });
}

async function look(again) {
  try {
    const answer = await fetch("/emulator/watch", { cache: "no-store" });
    show(await answer.json());
    if (away) notice("");
    away = 0;
  } catch (error) {
    away += 1;
    if (away === 2) notice("The emulator does not answer. This page goes on by itself when it is back.");
  }
  if (again) setTimeout(look, document.hidden ? 5 * BEAT : BEAT, true);
}

function offerSignIn() {
  const asked = new URLSearchParams(location.search);
  const client = asked.get("sign-in");
  if (!client) return;
  document.getElementById("sign-in").hidden = false;
  put(document.getElementById("sign-in-text"), `${client} wants to run User connections with a stored sign-in.`);
  document.getElementById("sign-in-button").addEventListener("click", async () => {
    await post("clients/sign-in", { client_id: client, signed_in: true });
    document.getElementById("sign-in").hidden = true;
    const back = asked.get("redirectUrl");
    if (back && /^https?:\/\//i.test(back)) location.assign(back);
  });
}

offerSignIn();
look(true);
