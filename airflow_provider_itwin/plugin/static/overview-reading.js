// Reads the tasks of a period, and then the details of those that are shown.

import { Refusal } from "./airflow.js";
import { COMPARED, LIMITS, MOST_PAGES, lists, readDetails, readPlace } from "./overview-read.js";

const DAY = 24 * 3600 * 1000;
export const PERIODS = { day: DAY, week: 7 * DAY };
const HISTORY = 14 * DAY;
const MOST_AT_ONCE = 4;

/**
 * The tasks of a period, as far as they are read.
 *
 * What the `previous` reading knows of tasks that have ended is not read again.
 */
export class Reading {
  constructor(period, changed, previous = null) {
    this.now = Date.now();
    this.since = this.now - PERIODS[period];
    this.tasks = new Map();
    this.details = new Map();
    this.totals = {};
    this.refused = null;
    this.broken = false;
    this.busy = 0;
    this.complete = false;
    /** Whether older tasks for comparison are read. */
    this.compared = false;
    /** Whether the user has asked for more tasks than are read at first. */
    this.extended = false;
    /** Whether a later reading has failed. */
    this.outdated = false;
    this.read = 0;
    this.stop = new AbortController();
    this.changed = changed;
    this.pending = 0;
    this.asked = 0;
    this.lists = lists(this.since, this.now - HISTORY, this.stop.signal);
    this.guard(async () => {
      await Promise.all(Object.entries(LIMITS).map(([name, most]) => this.pages(name, most)));
      if (previous) {
        this.takeOver(previous);
        // Otherwise every reading would keep all earlier ones in memory.
        previous = null;
      }
      await this.compare();
    });
  }

  /** Read the next pages of tasks that ended in the period. */
  more() {
    this.extended = true;
    return this.guard(async () => {
      await this.pages("ended", MOST_PAGES);
      await this.compare();
    });
  }

  /** Read older tasks for comparison, once all of the period are read. */
  async compare() {
    if (this.complete && !this.compared) {
      await this.pages("history", MOST_PAGES);
      this.compared = true;
    }
  }

  /** Take over from an earlier reading what has not changed since. */
  takeOver({ tasks, details, compared, complete }) {
    for (const task of this.tasks.values()) {
      const known = tasks.get(task.id);
      if (!known) {
        continue;
      }
      task.connection ??= known.connection;
      task.account ??= known.account;
      if (task.ended !== null && task.ended === known.ended && task.state === known.state) {
        task.asked = known.asked;
        if (details.get(task.id)) {
          this.details.set(task.id, details.get(task.id));
        }
      }
    }
    if (!this.complete || !complete || !compared) {
      return;
    }
    this.compared = true;
    for (const task of tasks.values()) {
      const isHistory = COMPARED.includes(task.state) && task.ended >= this.now - HISTORY && task.ended < this.since;
      if (isHistory && !this.tasks.has(task.id)) {
        this.tasks.set(task.id, task);
        if (details.get(task.id)) {
          this.details.set(task.id, details.get(task.id));
        }
      }
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
