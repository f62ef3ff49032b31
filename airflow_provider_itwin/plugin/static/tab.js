// The tab "iTwin run" of a task instance: a React component, as Airflow loads it, around a page without React.

import { follow } from "./follow.js";

const { createElement, useEffect, useRef } = globalThis.React;

function open(host, place) {
  // A shadow root separates Airflow's styles from ours.
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const styles = document.createElement("link");
  styles.rel = "stylesheet";
  styles.href = new URL("tab.css", import.meta.url).href;
  const page = document.createElement("div");
  page.className = "page";
  page.hidden = true;
  styles.onload = styles.onerror = () => {
    page.hidden = false;
  };
  root.replaceChildren(styles, page);

  const airflow = document.documentElement;
  const dress = () => {
    host.dataset.theme = airflow.classList.contains("dark") ? "dark" : "light";
  };
  const theme = new MutationObserver(dress);
  theme.observe(airflow, { attributes: true, attributeFilter: ["class"] });
  dress();

  const leave = follow(page, place);
  return () => {
    theme.disconnect();
    leave();
  };
}

function ITwinRunTab({ dagId, runId, taskId, mapIndex }) {
  const host = useRef(null);
  useEffect(
    () => open(host.current, { dagId, runId, taskId, mapIndex: mapIndex ?? "-1" }),
    [dagId, runId, taskId, mapIndex],
  );
  return createElement("div", { ref: host, "data-testid": "itwin-run" });
}

// Airflow finds the loaded component by this name.
globalThis["iTwin run"] = ITwinRunTab;
