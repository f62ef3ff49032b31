// The page "iTwin" in Airflow's navigation: reads the tasks of a period, and draws them as they arrive.

import { h, redraw } from "./dom.js";
import { component } from "./mount.js";
import { show, summaryOf } from "./overview-page.js";
import { PERIODS, Reading } from "./overview-reading.js";
import { whileVisible } from "./overview-refresh.js";
import { isProblem, missing, rowsOf } from "./overview-rows.js";

const ROWS = 50;
const PAUSE = 150;
const REFRESH = 60000;
/** Reports that are read for each row that is shown. */
const MOST_DETAILS = 8;

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
  // The reading of the automatic refresh, until it replaces the one that is shown.
  let newer = null;
  let timer = null;

  const restart = () => {
    reading?.stop.abort();
    newer?.stop.abort();
    reading = new Reading(view.period, later);
    clock.restart();
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
  const more = () => {
    // The automatic refresh would take away what is read now.
    newer?.stop.abort();
    reading.more();
  };
  const toggle = (key) => {
    view.open.delete(key) || view.open.add(key);
    draw();
  };

  /** Read everything again, and only then draw it, so that nothing on the page moves meanwhile. */
  function refresh() {
    if (reading.busy || reading.refused || reading.extended) {
      return null;
    }
    return new Promise((done) => {
      const candidate = new Reading(view.period, changed, reading);
      newer = candidate;
      candidate.stop.signal.addEventListener("abort", done);

      function changed() {
        if (candidate.busy || candidate.stop.signal.aborted) {
          return;
        }
        if (candidate.broken || candidate.refused) {
          Object.assign(reading, { outdated: candidate.broken, refused: candidate.refused });
        } else {
          fill(candidate, rowsFrom(candidate).rows);
          if (candidate.busy) {
            return;
          }
          candidate.changed = later;
          reading = candidate;
        }
        newer = null;
        draw();
        done();
      }
    });
  }

  function rowsFrom({ tasks, details, since, now }) {
    const all = rowsOf([...tasks.values()], details, since, now);
    const listed = view.problems ? all.filter(isProblem) : all;
    return { all, listed, rows: listed.slice(0, view.limit) };
  }

  const fill = (filled, rows) => filled.fill(missing(rows, filled.details), MOST_DETAILS * view.limit);

  function draw() {
    clearTimeout(timer);
    timer = null;
    const { all, listed, rows } = rowsFrom(reading);
    // First, so that a reading that needs more details is still busy when it is drawn.
    fill(reading, rows);
    redraw(body, show({ view, reading, all, rows, left: listed.length - rows.length }, { choose, toggle, restart, more }));
    const summary = reading.busy ? voice.textContent : summaryOf(reading, all);
    if (summary !== voice.textContent) {
      voice.textContent = summary;
    }
  }

  const clock = whileVisible(refresh, REFRESH);
  restart();
  return () => {
    clock.stop();
    clearTimeout(timer);
    reading.stop.abort();
    newer?.stop.abort();
  };
}

// Airflow finds the loaded component by this name.
globalThis.iTwin = component("itwin-overview", ["tab.css", "overview.css"], begin);
