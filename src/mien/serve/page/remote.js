// What the server says: of its model, and of a photo that it classifies instead of the page. Knows nothing about what is
// shown.

/** What the server at an address says of its model; addresses in it are made absolute, `card_url` is its own. */
export async function modelOfServer(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`the server answers ${answer.status} when asked for the model`);
  const model = await answer.json();
  const absolute = (relative) => new URL(relative, answer.url).href;
  const urls = ["model_url", "detector_url", "samples_url"].map((name) => [name, absolute(model[name])]);
  return { ...model, ...Object.fromEntries(urls), card_url: answer.url };
}

/** What the server says of a picture file, {width, height, faces}, with the probabilities in the model's order. */
export async function askServer(file, { labels, max_body_bytes: most }) {
  if (!file.size) throw new Error("an empty file");
  if (file.size > most) throw new Error(`more than the ${size(most)} that this server takes`);
  let response;
  try {
    response = await fetch("v1/predict", { method: "POST", body: file, headers: { "Content-Type": kind(file) } });
  } catch {
    throw new Error("the server does not answer");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? answer.title ?? `the server answers ${response.status}`);
  const [one] = answer.pictures;
  const faces = one.faces.map((face) => ({ ...face, probabilities: labels.map((label) => face.probabilities[label]) }));
  return { width: one.width, height: one.height, faces };
}

/** Bytes in words, rounded down: what is as large as that is taken. */
function size(bytes) {
  const [unit, name] = bytes < 2 ** 20 ? [1000, "kB"] : [2 ** 20, "MiB"];
  return `${Math.floor((10 * bytes) / unit) / 10} ${name}`;
}

const kind = (file) => file.type || "application/octet-stream";
