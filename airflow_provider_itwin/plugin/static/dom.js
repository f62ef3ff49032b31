// Elements made of text and of nothing that a text could smuggle in.

/** Make an element: attributes by name (`on…` listens; null and false are left out), children as elements or text. */
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

/** Make an element that is placed or sized by CSS properties; no attribute, which a page's policy may forbid. */
export function styled(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    element.style.setProperty(name, value);
  }
  return element;
}

/** A link to elsewhere; the mere text if it leads to anything but a web page. */
export function link(target, text) {
  let address = null;
  try {
    address = new URL(String(target));
  } catch {
    // No address at all.
  }
  if (address === null || !["http:", "https:"].includes(address.protocol)) {
    return h("span", { class: "dead-link" }, String(target));
  }
  return h("a", { href: address.href, target: "_blank", rel: "noopener noreferrer" }, text);
}
