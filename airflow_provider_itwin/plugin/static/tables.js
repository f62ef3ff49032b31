// Tables and rows of numbers.

import { h } from "./dom.js";
import { count, grouped } from "./words.js";

const MOST_ROWS = 100;

/**
 * A section with a table that scrolls inside a narrow window.
 *
 * `columns` are headings, `[heading, "number"]` for a column of numbers; the first cell of a row is its heading. `more` is the
 * number of rows that are not in `rows`, each about one `what`.
 */
export function table(id, title, columns, rows, more = 0, what = "row") {
  const kinds = columns.map((column) => (Array.isArray(column) ? column[1] : null));
  const left = more + Math.max(0, rows.length - MOST_ROWS);
  const line = ([first, ...cells]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, first),
      cells.map((cell, place) => h("td", { class: kinds[place + 1] }, cell)),
    );
  return h(
    "section",
    {},
    h("h3", { id }, title),
    h(
      "div",
      { class: "wide", tabindex: 0, role: "region", "aria-labelledby": id },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, columns.map((column, place) => h("th", { scope: "col", class: kinds[place] }, [column].flat()[0])))),
        h("tbody", {}, rows.slice(0, MOST_ROWS).map(line)),
      ),
    ),
    left > 0 && h("p", { class: "quiet" }, `… and ${count(left, `more ${what}`)}.`),
  );
}

/** Numbers with their words, `[3, "file"]`; a text in place of a number stays as it is. */
export function numbers(cells) {
  return h(
    "ul",
    { class: "numbers" },
    cells.map(([value, word, more]) => {
      const isText = typeof value === "string";
      return h("li", {}, h("strong", {}, isText ? value : grouped(value)), ` ${word}${isText || value === 1 ? "" : "s"}${more ? ` ${more}` : ""}`);
    }),
  );
}
