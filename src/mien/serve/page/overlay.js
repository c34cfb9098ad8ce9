// Boxes and labels over an image, an SVG that also stands in the image that is saved. Knows nothing about where faces
// come from.

import { svg } from "./dom.js";
import { placeLabels } from "./labels.js";
import { clip } from "./numbers.js";
import { inWords, prediction } from "./words.js";

const FONT = "600 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const [TEXT, PLATE, ROOM] = [13, 18, 4]; // the height of a label's text and of the plate behind it, beside the text
const COLORS = { certain: "#5fb4f0", uncertain: "#bcc4cd", dark: "#1c2024", text: "#ffffff" };
const LABEL_WIDTH = 1.4; // of a box, what its label should take in an image that is saved
const TEXT_SHARE = [1 / 110, 1 / 48]; // of the long side, the smallest and the largest text there
const ruler = document.createElement("canvas").getContext("2d");

/**
 * Boxes over an image of width x height pixels, each with its label and, where a face has one, its number. Lines and text
 * are as large as on the screen when a pixel of the screen takes `unit` pixels of the image; mirrored where that is.
 */
export function overlay(faces, model, { width, height, unit, mirrored = false }) {
  const boxes = faces.map(({ box: [left, top, across, down] }) =>
    [mirrored ? width - left - across : left, top, across, down]);
  const texts = faces.map((face) => labelTexts(face, model));
  const sizes = texts.map((some) => some.map((text) => [textWidth(text) * unit, PLATE * unit]));
  const labels = placeLabels(boxes, sizes, { width, height });
  const frames = faces.map((face, i) => frame(boxes[i], texts[i][0], colorOf(face, model), unit));
  const plates = faces.map((face, i) => plate(labels[i].box, texts[i][labels[i].size], colorOf(face, model), unit));
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...frames, ...plates);
}

/** The unit in which an image of width x height pixels with faces is saved: its labels are about as wide as its boxes. */
export function unitOf(faces, model, { width, height }) {
  const [least, most] = TEXT_SHARE.map((share) => (share * Math.max(width, height)) / TEXT);
  const label = median(faces.map((face) => textWidth(labelTexts(face, model)[0])));
  return clip((LABEL_WIDTH * median(faces.map(({ box }) => box[2]))) / label, least, most);
}

export const median = (values) => values.toSorted((one, other) => one - other)[values.length >> 1];

/** What a label may say, the longest first. */
function labelTexts(face, model) {
  const [number, words] = [face.number || "", inWords(face, model)];
  const texts = [`${number} ${words}`, `${number} ${prediction(face, model).label}`, `${number}`];
  return [...new Set(texts.map((text) => text.trim()).filter(Boolean))];
}

function textWidth(text) {
  ruler.font = FONT;
  return Math.ceil(ruler.measureText(text).width) + 2 * ROOM + 3;
}

const colorOf = (face, model) => (prediction(face, model).certain ? COLORS.certain : COLORS.uncertain);

/** A box in a bright color on a dark one, so that it is seen on any image; uncertain ones are dashed. */
function frame([x, y, width, height], title, color, unit) {
  const rect = (stroke, thick, more = {}) =>
    svg("rect", { x, y, width, height, fill: "none", stroke, "stroke-width": thick * unit, ...more });
  const dashes = color === COLORS.uncertain ? { "stroke-dasharray": `${5 * unit} ${3 * unit}` } : {};
  return svg("g", { class: "box" }, svg("title", {}, title), rect(COLORS.dark, 4), rect(color, 2, dashes));
}

function plate([x, y, width, height], text, color, unit) {
  const font = { "font-family": FONT.slice(FONT.indexOf("system")), "font-weight": 600, "font-size": TEXT * unit };
  return svg(
    "g",
    { class: "plate" },
    svg("rect", { x, y, width, height, fill: COLORS.dark }),
    svg("rect", { x, y, width: 3 * unit, height, fill: color }),
    svg("text", { x: x + (3 + ROOM) * unit, y: y + 13.5 * unit, fill: COLORS.text, ...font }, text),
  );
}
