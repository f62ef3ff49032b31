// The page "iTwin" in Airflow's navigation: reads the tasks of a period, and draws them as they arrive.

import { Refusal } from "./airflow.js";
import { h, redraw } from "./dom.js";
import { component } from "./mount.js";
import { show, summaryOf } from "./overview-page.js";
import { LIMITS, MOST_PAGES, lists, readDetails, readPlace } from "./overview-read.js";
import { isProblem, missing, rowsOf } from "./overview-rows.js";

const DAY = 24 * 3600 * 1000;
const PERIODS = { day: DAY, week: 7 * DAY };
const HISTORY = 14 * DAY;
const ROWS = 50;
const PAUSE = 150;
const MOST_AT_ONCE = 4;
/** Reports that are read for each row that is shown. */
const MOST_DETAILS = 8;

/** The tasks of a period, as far as they are read. */
class Reading {
  constructor(period, changed) {
    this.now = Date.now();
    this.since = this.now - PERIODS[period];
    this.tasks = new Map();
    this.details = new Map();
    this.totals = {};
    this.refused = null;
    this.broken = false;
    this.busy = 0;
    this.complete = false;
    this.read = 0;
    this.stop = new AbortController();
    this.changed = changed;
    this.pending = 0;
    this.asked = 0;
    this.lists = lists(this.since, this.now - HISTORY, this.stop.signal);
    this.first = this.guard(async () => {
      await Promise.all(Object.entries(LIMITS).map(([name, most]) => this.pages(name, most)));
      await this.compare();
    });
  }

  /** Read the next pages of tasks that ended in the period. */
  more() {
    return this.guard(async () => {
      await this.pages("ended", MOST_PAGES);
      await this.compare();
    });
  }

  /** Read older tasks for comparison, once all of the period are read. */
  async compare() {
    if (this.complete) {
      await this.pages("history", MOST_PAGES);
    }
  }

  async pages(name, most) {
    for (let count = 0; count < most; count += 1) {
      const { value: page, done } = await this.lists[name].next();
      if (done) {
        break;
      }
      page.tasks.filter((task) => !this.tasks.has(task.id)).forEach((task) => this.tasks.set(task.id, task));
      this.totals[name] ??= page.total;
      if (name === "ended") {
        this.read += page.tasks.length;
        this.complete = page.complete;
      }
      this.changed();
      if (page.complete) {
        break;
      }
    }
  }

  /** Read the details of tasks, a few at a time, until those of `most` tasks are read. */
  fill(wanted, most) {
    this.wanted = wanted;
    this.most = most;
    while (this.pending < MOST_AT_ONCE && this.wanted.length && this.asked < most && !this.refused && !this.broken) {
      const { task, whole } = this.wanted.shift();
      const needsPlace = task.connection === null && !task.asked;
      task.asked = true;
      if (whole) {
        this.details.set(task.id, null);
      }
      this.asked += 1;
      this.pending += 1;
      this.guard(async () => {
        try {
          if (needsPlace) {
            Object.assign(task, await readPlace(task, this.stop.signal));
          }
          if (whole) {
            this.details.set(task.id, await readDetails(task, this.stop.signal));
          }
        } finally {
          this.pending -= 1;
        }
        this.fill(this.wanted, this.most);
      });
    }
  }

  async guard(work) {
    this.busy += 1;
    try {
      await work();
    } catch (error) {
      if (!this.stop.signal.aborted) {
        const isRefused = error instanceof Refusal && error.status < 500 && error.status !== 429;
        this.refused = isRefused ? error.status : this.refused;
        this.broken ||= !isRefused;
      }
    } finally {
      this.busy -= 1;
      if (!this.stop.signal.aborted) {
        this.changed();
      }
    }
  }
}

function begin(page) {
  const query = new URLSearchParams(location.search);
  const view = {
    period: Object.hasOwn(PERIODS, query.get("period") ?? "") ? query.get("period") : "day",
    problems: query.get("only") === "problems",
    limit: ROWS,
    open: new Set(),
  };
  // For screen readers: the element is persistent, so that only changes are read.
  const voice = h("p", { class: "unseen", role: "status" });
  const body = h("div", {});
  page.replaceChildren(voice, body);
  let reading = null;
  let timer = null;

  const restart = () => {
    reading?.stop.abort();
    reading = new Reading(view.period, later);
    draw();
  };
  const later = () => {
    timer ??= setTimeout(draw, reading.tasks.size && !body.querySelector("table") ? 0 : PAUSE);
  };
  const choose = (changes) => {
    const again = "period" in changes;
    Object.assign(view, changes);
    const address = new URL(location.href);
    address.searchParams.set("period", view.period);
    view.problems ? address.searchParams.set("only", "problems") : address.searchParams.delete("only");
    history.replaceState(history.state, "", address);
    again ? restart() : draw();
  };
  const toggle = (key) => {
    view.open.delete(key) || view.open.add(key);
    draw();
  };

  function draw() {
    clearTimeout(timer);
    timer = null;
    const { details } = reading;
    const all = rowsOf([...reading.tasks.values()], details, reading.since, reading.now);
    const listed = view.problems ? all.filter(isProblem) : all;
    const rows = listed.slice(0, view.limit);
    redraw(body, show({ view, reading, all, rows, left: listed.length - rows.length }, { choose, toggle, restart, more: () => reading.more() }));
    voice.textContent = reading.busy ? voice.textContent : summaryOf(reading, all);
    reading.fill(missing(rows, details), MOST_DETAILS * view.limit);
  }

  restart();
  return () => {
    clearTimeout(timer);
    reading.stop.abort();
  };
}

// Airflow finds the loaded component by this name.
globalThis.iTwin = component("itwin-overview", ["tab.css", "overview.css"], begin);
