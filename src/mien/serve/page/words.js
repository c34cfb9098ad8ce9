// What faces are classified as, in words. Knows nothing about the page.

export const UNCERTAIN = "uncertain";
const MOST_LISTED = 8; // faces of an image that are listed one by one

export const percent = (share) => `${Math.round(100 * share)}%`;

/**
 * The class that is predicted for a face, {label, best, confidence, certain}: the most probable one, or what was chosen
 * for a person who is tracked over time, a place among the classes, null where it is uncertain.
 */
export function prediction({ probabilities, chosen }, { labels, threshold }) {
  const place = chosen ?? probabilities.indexOf(Math.max(...probabilities));
  const confidence = probabilities[place];
  const certain = chosen === undefined ? confidence >= threshold : chosen !== null;
  return { label: certain ? labels[place] : UNCERTAIN, best: labels[place], confidence, certain };
}

/** "happy 97%", or "uncertain". */
export function inWords(face, model) {
  const { label, confidence, certain } = prediction(face, model);
  return certain ? `${label} ${percent(confidence)}` : label;
}

export const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

/** "2 faces: happy 97%, uncertain", of many "40 faces: 25 happy, 15 uncertain", or that there is none. */
export function summary(faces, model) {
  if (!faces.length) return "No face was found.";
  const parts = faces.length > MOST_LISTED ? byLabel(faces, model) : faces.map((face) => inWords(face, model));
  return `${counted(faces.length, "face")}: ${parts.join(", ")}.`;
}

/** How many faces there are of each label, the most frequent first, uncertain ones last. */
function byLabel(faces, model) {
  const all = faces.map((face) => prediction(face, model).label);
  const counts = model.labels.map((label) => [all.filter((one) => one === label).length, label]);
  counts.sort((one, other) => other[0] - one[0]);
  counts.push([all.filter((one) => one === UNCERTAIN).length, UNCERTAIN]);
  return counts.filter(([count]) => count).map(([count, label]) => `${count} ${label}`);
}
