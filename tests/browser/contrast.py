"""Contrast of text with its background, as WCAG 2 defines it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from playwright.sync_api import Locator

ENOUGH = 4.5
"""Minimum contrast at WCAG level AA, for text of any size."""

_POOR = """
(root, enough) => {
  const pixel = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  const parts = (colour) => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = colour;
    pixel.fillRect(0, 0, 1, 1);
    const [red, green, blue, opacity] = pixel.getImageData(0, 0, 1, 1).data;
    return { channels: [red, green, blue], opacity: opacity / 255 };
  };
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement ?? one.getRootNode().host) {
      const layer = parts(getComputedStyle(one).backgroundColor);
      layers.push(layer);
      if (layer.opacity === 1) break;
    }
    return layers.reverse().reduce(
      (below, { channels, opacity }) => below.map((value, place) => value * (1 - opacity) + channels[place] * opacity),
      [255, 255, 255],
    );
  };
  const luminance = (channels) => {
    const [red, green, blue] = channels
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const texts = [...root.querySelectorAll("*")].filter(
    (one) => one.checkVisibility() && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()),
  );
  const poor = texts
    .map((one) => {
      const pair = [luminance(parts(getComputedStyle(one).color).channels), luminance(behind(one))];
      return { text: one.textContent.slice(0, 60), contrast: (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05) };
    })
    .filter((one) => one.contrast < enough);
  return { checked: texts.length, poor };
}
"""


def poor_contrasts(content: Locator) -> list[dict[str, Any]]:
    """
    List the texts in a part of a page whose contrast is too low.

    :raises ValueError: if there is no text at all
    """
    found = content.evaluate(_POOR, ENOUGH)
    if not found["checked"]:
        raise ValueError("No text found")
    return cast("list[dict[str, Any]]", found["poor"])
