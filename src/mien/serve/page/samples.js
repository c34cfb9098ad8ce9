// The gallery of rendered faces: fetched once, so that it also works without the server.
// Knows nothing about how pictures are read.

import { byId, element } from "./dom.js";

/** Show the gallery that is listed at an address; `open(file, name)` gets the picture that is chosen. */
export async function showSamples(address, open) {
  const list = await fetch(address);
  const samples = await list.json();
  const made = await Promise.all(samples.map(async (sample) => {
    const answer = await fetch(new URL(sample.url, list.url));
    return answer.ok ? item(await answer.blob(), sample, open) : null;
  }));
  byId("samples").querySelector("ul").replaceChildren(...made.filter(Boolean));
  byId("samples").hidden = !made.some(Boolean);
}

function item(picture, { alt, kind, label }, open) {
  const image = element("img", { src: URL.createObjectURL(picture), alt });
  const name = label ? `Rendered: ${label}` : alt;
  const button = element("button", { type: "button", title: name, onclick: () => open(picture, name) }, image);
  return element("li", { className: kind === "scene" ? "wide" : "" }, button);
}
