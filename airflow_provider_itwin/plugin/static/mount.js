// Shows a page without React in a React component, as Airflow loads it.

const { createElement, useEffect, useRef } = globalThis.React;

/** Return a React component around a page; `begin(page, properties)` draws the page and returns a function that stops it. */
export function component(id, styles, begin) {
  return function ITwinPage({ dagId, runId, taskId, mapIndex }) {
    const host = useRef(null);
    useEffect(
      () => open(host.current, styles, (page) => begin(page, { dagId, runId, taskId, mapIndex: mapIndex ?? "-1" })),
      [dagId, runId, taskId, mapIndex],
    );
    return createElement("div", { ref: host, "data-testid": id });
  };
}

function open(host, styles, begin) {
  // A shadow root separates Airflow's styles from ours.
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const page = document.createElement("div");
  page.className = "page";
  page.hidden = true;
  const sheets = styles.map((name) => {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = new URL(name, import.meta.url).href;
    return sheet;
  });
  const loaded = sheets.map((sheet) => new Promise((done) => (sheet.onload = sheet.onerror = done)));
  Promise.all(loaded).then(() => (page.hidden = false));
  root.replaceChildren(...sheets, page);

  const airflow = document.documentElement;
  const dress = () => {
    host.dataset.theme = airflow.classList.contains("dark") ? "dark" : "light";
  };
  const theme = new MutationObserver(dress);
  theme.observe(airflow, { attributes: true, attributeFilter: ["class"] });
  dress();

  const leave = begin(page);
  return () => {
    theme.disconnect();
    leave();
  };
}
