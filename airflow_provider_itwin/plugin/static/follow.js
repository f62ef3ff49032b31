// Looks at a task instance again and again for as long as something can still happen, and draws what has changed.

import { Refusal, isOver, look } from "./airflow.js";
import { h } from "./dom.js";
import { sentenceOf, show } from "./page.js";
import { elapsed } from "./words.js";

const PAUSE = 3000;
const LONGEST_PAUSE = 60000;

/** Draw into `page` what becomes of a task instance; gives a function that stops it. */
export function follow(page, place) {
  const stop = new AbortController();
  // For those who listen: persistent, so that only what is new is read out.
  const voice = h("p", { class: "unseen", role: "status" });
  const body = h("div", {});
  page.replaceChildren(voice, body);

  let chosen = asked();
  let drawn = null;
  let troubles = 0;
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
      seen = { ...(await look(place, chosen, stop.signal)), refused: null };
      troubles = 0;
    } catch (error) {
      if (stop.signal.aborted || mine !== turns) {
        return;
      }
      if (!(error instanceof Refusal) || error.status >= 500 || error.status === 429) {
        troubles += 1;
        if (drawn === null || troubles > 1) {
          voice.textContent = "Airflow does not answer; this page tries again.";
        }
        if (drawn === null) {
          body.replaceChildren(h("p", { class: "note" }, voice.textContent));
        }
        next(Math.min(PAUSE * 2 ** troubles, LONGEST_PAUSE));
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
      // Nothing is asked any more, not even when the page is shown again.
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
      // What somebody has opened stays open, and what has the focus keeps it.
      const open = new Set([...body.querySelectorAll("details[open]")].map((one) => one.id));
      const focused = body.getRootNode().activeElement?.id;
      body.replaceChildren(...show(seen, choose, open));
      if (focused) {
        body.querySelector(`#${CSS.escape(focused)}`)?.focus();
      }
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
