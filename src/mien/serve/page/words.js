// What is read in faces, in words. Knows nothing about the page.

export const NOT_SURE = "not sure";
const MOST_TOLD = 8; // faces of a picture that are told one by one

export const percent = (share) => `${Math.round(100 * share)}%`;

/**
 * A face's class and whether that is sure enough: {best, share, sure}. It is the most probable one, or what was
 * chosen for a person who is followed over time: a place among the classes, null where it is not sure.
 */
export function verdict({ probabilities, chosen }, { labels, threshold }) {
  const most = probabilities.indexOf(Math.max(...probabilities));
  const place = chosen ?? most;
  const share = probabilities[place];
  return { best: labels[place], share, sure: chosen === undefined ? share >= threshold : chosen !== null };
}

/** "happy 97%", or "not sure". */
export function inWords(face, model) {
  const { best, share, sure } = verdict(face, model);
  return sure ? `${best} ${percent(share)}` : NOT_SURE;
}

export const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

/** "2 faces: happy 97%, not sure", of many "40 faces: 25 happy, 15 not sure", or that there is none. */
export function all(faces, model) {
  if (!faces.length) return "No face was found.";
  const told = faces.length > MOST_TOLD ? byLabel(faces, model) : faces.map((face) => inWords(face, model));
  return `${counted(faces.length, "face")}: ${told.join(", ")}.`;
}

/** How many faces there are of each class, the most first, those that are not sure last. */
function byLabel(faces, model) {
  const verdicts = faces.map((face) => verdict(face, model));
  const counts = model.labels.map((label) => [verdicts.filter(({ best, sure }) => sure && best === label).length, label]);
  const unsure = [verdicts.filter(({ sure }) => !sure).length, NOT_SURE];
  const ordered = [...counts.sort((one, other) => other[0] - one[0]), unsure];
  return ordered.filter(([count]) => count).map(([count, label]) => `${count} ${label}`);
}
