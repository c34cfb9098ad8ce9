// Results as files: CSV and JSON as `mien predict --csv` and `--json` write them, and an image with its labels as PNG.
// A result is {name, faces, width, height} or {name, problem}. Knows nothing about what is shown.

import { overlay, unitOf } from "./overlay.js";
import { prediction } from "./words.js";

const POINTS = ["eye1", "eye2", "nose", "mouth1", "mouth2"];
const BOX = ["left", "top", "width", "height"];
const NO_FACE = "no face found";
const FORMAT = 2; // of the JSON lines
const CONTROL = /[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu; // as in labels.py
const SMALLEST_SIDE = 480; // pixels of a labeled image's long side; what is smaller is drawn larger
const LARGEST_SIDE = 4096; // what is larger is made smaller, as some browsers draw no larger ones

/** A row a face; an image without one, and one that could not be used, has one row, face 0. */
export function csv(results, model) {
  const points = POINTS.flatMap((point) => [`${point}_x`, `${point}_y`]);
  const classes = model.labels.map((label) => `p_${label}`);
  const head = ["picture", "face", "label", "best", "confidence", ...classes, ...BOX, "score", ...points, "problem"];
  const rows = results.flatMap((result) => csvRows(result, model, head.length));
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function csvRows({ name, faces = [], problem = NO_FACE }, model, columns) {
  const picture = cellName(name);
  if (!faces.length) return [[picture, 0, ...Array(columns - 3).fill(""), problem]];
  return faces.map((face, i) => {
    const { label, best, confidence } = prediction(face, model);
    const shares = [confidence, ...face.probabilities].map((share) => share.toFixed(6));
    const [box, points] = [face.box, face.landmarks.flat()].map((some) => some.map((value) => value.toFixed(2)));
    return [picture, i + 1, label, best, ...shares, ...box, face.score.toFixed(4), ...points, ""];
  });
}

const cell = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);

/** A name whose control characters are escaped, and none that a spreadsheet takes for a formula. */
function cellName(name) {
  const text = name.replace(CONTROL, escaped);
  return /^[=+\-@]/.test(text) && text !== "-" ? `./${text}` : text;
}

function escaped(sign) {
  const short = { "\t": "\\t", "\n": "\\n", "\r": "\\r" }[sign];
  const code = sign.codePointAt(0);
  const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return short ?? `\\${letter}${code.toString(16).padStart(digits, "0")}`;
}

/** One object a line, an image each, which names the model that classified it. */
export function jsonLines(results, model) {
  const { name, sha256, threshold, prior, card_url: card, mien } = model;
  const origin = { model: name, sha256, uncertain_below: threshold, prior, card, mien, format: FORMAT };
  return results.map((result) => `${JSON.stringify({ ...object(result, model), ...origin })}\n`).join("");
}

function object({ name: picture, faces, width, height, problem }, model) {
  if (problem) return { picture, problem };
  return { picture, width, height, faces: faces.map((face) => faceObject(face, model)) };
}

function faceObject(face, model) {
  const rounded = (values, places) => values.map((value) => Number(value.toFixed(places)));
  const { label, best, confidence: share } = prediction(face, model);
  const [confidence, ...shares] = rounded([share, ...face.probabilities], 6);
  const probabilities = Object.fromEntries(model.labels.map((one, i) => [one, shares[i]]));
  const landmarks = face.landmarks.map((point) => rounded(point, 2));
  const [score] = rounded([face.score], 4);
  return { box: rounded(face.box, 2), landmarks, score, label, best, confidence, probabilities };
}

/** An image that is shown, with its boxes and labels drawn in, as a PNG file. */
export async function labeledImage(image, { faces, width, height }, model) {
  const longSide = Math.max(width, height);
  const scale = longSide > LARGEST_SIDE ? LARGEST_SIDE / longSide : Math.max(1, Math.ceil(SMALLEST_SIDE / longSide));
  const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
  const unit = faces.length ? Math.max(1 / scale, unitOf(faces, model, { width, height })) : 1;
  const drawn = overlay(faces, model, { width, height, unit });
  for (const [key, value] of Object.entries(size)) drawn.setAttribute(key, value);
  const address = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(drawn)], { type: "image/svg+xml" }));
  try {
    const labels = Object.assign(new Image(), { src: address });
    await Promise.all([labels.decode(), image.decode()]);
    const canvas = Object.assign(document.createElement("canvas"), size);
    for (const layer of [image, labels]) canvas.getContext("2d").drawImage(layer, 0, 0, size.width, size.height);
    const file = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    if (!file) throw new Error("this browser draws no image so large");
    return file;
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Hand a file to the browser, which stores it where it stores downloads. */
export function download(content, name, type) {
  const href = URL.createObjectURL(new Blob([content], { type }));
  Object.assign(document.createElement("a"), { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // the browser may read it a moment later
}
