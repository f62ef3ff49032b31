// Polls a task instance until its state is final, and draws changes.

import { Refusal, isOver, readTask } from "./airflow.js";
import { h, redraw } from "./dom.js";
import { sentenceOf, show } from "./page.js";
import { elapsed } from "./words.js";

const PAUSE = 3000;
const LONGEST_PAUSE = 60000;

/** Draw a task instance into `page`, and keep it up to date; returns a function that stops this. */
export function follow(page, place) {
  const stop = new AbortController();
  // For screen readers: the element is persistent, so that only changes are read.
  const voice = h("p", { class: "unseen", role: "status" });
  const body = h("div", {});
  page.replaceChildren(voice, body);

  let chosen = asked();
  let drawn = null;
  let failures = 0;
  let timer = null;
  let turns = 0;

  const choose = (number) => {
    chosen = number;
    next(0);
  };

  async function turn() {
    turns += 1;
    const mine = turns;
    let seen;
    try {
      seen = { ...(await readTask(place, chosen, stop.signal)), refused: null };
      failures = 0;
    } catch (error) {
      if (stop.signal.aborted || mine !== turns) {
        return;
      }
      if (!(error instanceof Refusal) || error.status >= 500 || error.status === 429) {
        failures += 1;
        if (drawn === null || failures > 1) {
          voice.textContent = "Airflow does not respond; retrying.";
        }
        if (drawn === null) {
          body.replaceChildren(h("p", { class: "note" }, voice.textContent));
        }
        next(Math.min(PAUSE * 2 ** failures, LONGEST_PAUSE));
        return;
      }
      seen = { refused: error.status };
    }
    if (stop.signal.aborted || mine !== turns) {
      return;
    }
    draw(seen);
    const over = seen.refused !== null || !seen.task || seen.number < seen.tries || isOver(seen.task.state);
    if (over) {
      // No more requests, not even when the page becomes visible again.
      clearTimeout(timer);
      timer = null;
    } else {
      next(PAUSE);
    }
  }

  function draw(seen) {
    const now = JSON.stringify(seen);
    if (now !== drawn) {
      drawn = now;
      // Keep open details open.
      const open = new Set([...body.querySelectorAll("details[open]")].map((one) => one.id));
      redraw(body, show(seen, choose, open));
      voice.textContent = sentenceOf(seen);
    }
    for (const one of body.querySelectorAll("[data-since]")) {
      one.textContent = elapsed(one.dataset.since);
    }
  }

  function next(pause) {
    clearTimeout(timer);
    timer = setTimeout(() => (document.hidden ? null : turn()), pause);
  }

  const seenAgain = () => {
    if (!document.hidden && timer !== null) {
      next(0);
    }
  };
  document.addEventListener("visibilitychange", seenAgain);
  turn();
  return () => {
    document.removeEventListener("visibilitychange", seenAgain);
    clearTimeout(timer);
    stop.abort();
  };
}

function asked() {
  const number = Number.parseInt(new URLSearchParams(location.search).get("try_number") ?? "", 10);
  return number > 0 ? number : null;
}
