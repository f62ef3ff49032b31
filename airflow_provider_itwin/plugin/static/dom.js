// Creates elements from text only, so that remote text cannot inject markup.

import { signOf, toneOf, toneOfState } from "./words.js";

/** Create an element. Attributes that begin with `on` are listeners; null and false are left out. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set CSS properties of an element; a content security policy may forbid style attributes. */
export function styled(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    element.style.setProperty(name, value);
  }
  return element;
}

/** An external link; plain text unless it is an http or https URL. */
export function link(target, text) {
  let address = null;
  try {
    address = new URL(String(target));
  } catch {
    // Not a URL.
  }
  if (address === null || !["http:", "https:"].includes(address.protocol)) {
    return h("span", { class: "dead-link" }, String(target));
  }
  return h("a", { href: address.href, target: "_blank", rel: "noopener noreferrer" }, text);
}

/** A result, with its colour and its sign. */
export function badge(result, tone = toneOf(result)) {
  return h("span", { class: "badge", "data-tone": tone }, h("span", { "aria-hidden": "true" }, signOf(tone)), ` ${result}`);
}

/** The state of a task instance, with its colour. */
export function state(name) {
  const tone = toneOfState(name);
  return h("span", { class: "state", "data-tone": tone }, String(name ?? "not started").replaceAll("_", " "));
}

/** Replace the content of an element, and keep the focus on the control with the same id. */
export function redraw(body, content) {
  const focused = body.getRootNode().activeElement?.id;
  body.replaceChildren(...content);
  if (focused) {
    body.querySelector(`#${CSS.escape(focused)}`)?.focus();
  }
}
