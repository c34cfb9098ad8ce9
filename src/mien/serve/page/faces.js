// A face as the page shows it: the crop, its probabilities as bars, and on request the map that explains its label.
// Knows nothing about where faces come from.

import { element, say } from "./dom.js";
import { counted, inWords, percent, prediction } from "./words.js";

const FAINTEST_SCALE = 0.05; // a fall of the probability that is drawn at full strength at least
const LOWERS = [255, 146, 87];
const RAISES = [95, 180, 240];
const COVER = 0.75;
const EXPLAIN = "Explain";

/** An item of a list that shows a face, and again with `show` when its probabilities change. */
export class FaceCard {
  constructor(model, { number = 0, explain = null } = {}) {
    this.model = model;
    this.number = number;
    this.explain = explain;
    this.crop = element("canvas", { width: model.side, height: model.side, role: "img" });
    this.words = element("b");
    this.bars = model.labels.map((label) => bar(label, model.threshold));
    const list = element("dl", {}, ...this.bars.flatMap(({ term, value }) => [term, value]));
    this.element = element("li", {}, element("div", {}, this.crop), element("div", {}, this.words, list));
  }

  show(face) {
    this.face = face;
    const { label, certain } = prediction(face, this.model);
    const words = inWords(face, this.model);
    this.words.textContent = this.number ? `${this.number}  ${words}` : words;
    this.element.className = certain ? "" : "uncertain";
    this.crop.setAttribute("aria-label", `Face${this.number ? ` ${this.number}` : ""} as the network sees it`);
    this.bars.forEach((one, i) => one.show(face.probabilities[i], this.model.labels[i] === label));
    if (face.crop) this.showCrop(face.crop);
  }

  /** What the network sees, which may be known later than its probabilities; from then on they can be explained. */
  showCrop(crop) {
    this.face = { ...this.face, crop };
    paint(this.crop, crop);
    if (this.explain) this.element.append(...explainButton(this.model, () => this.face, this.explain));
    this.explain = null; // one button is enough
  }

  hideCrop() {
    this.crop.remove();
  }
}

function bar(label, threshold) {
  const [line, number] = [element("i"), element("span")];
  const [term, value] = [element("dt", {}, label), element("dd", {}, line, number)];
  line.style.setProperty("--threshold", threshold);
  const show = (share, chosen) => {
    line.style.setProperty("--share", share.toFixed(4));
    value.dataset.share = share;
    number.textContent = percent(share);
    term.className = chosen ? "label" : "";
  };
  return { term, value, show };
}

function paint(canvas, crop) {
  const image = new ImageData(canvas.width, canvas.height);
  crop.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function explainButton(model, face, explain) {
  const place = element("div", { className: "explanation", hidden: true });
  const button = element("button", { type: "button", className: "small", ariaExpanded: "false" }, EXPLAIN);
  button.addEventListener("click", async () => {
    if (!place.hidden || button.ariaDisabled === "true") {
      place.hidden = true;
      button.ariaExpanded = "false";
      return;
    }
    button.ariaDisabled = "true";
    button.textContent = "Explaining…";
    try {
      place.replaceChildren(...explanation(model, face(), await explain(face().crop)));
    } catch (error) {
      place.replaceChildren(element("p", {}, `No explanation: ${error.message}.`));
    }
    button.ariaDisabled = "false";
    button.textContent = EXPLAIN;
    button.ariaExpanded = "true";
    place.hidden = false;
    say(place.textContent);
  });
  return [button, place];
}

/** A face beside the same face with a map over it, and what its colors say. */
function explanation(model, face, places) {
  const { best, confidence, certain } = prediction(face, model);
  const points = (value) => Math.round(100 * Math.max(0, value));
  const size = { width: model.side, height: model.side };
  const plain = element("canvas", { ...size, role: "img", ariaLabel: "The face" });
  const mapped = element("canvas", { ...size, role: "img", ariaLabel: "The face with the map" });
  paint(plain, face.crop);
  paintMap(mapped, face.crop, places);
  const line = (kind, words, most) =>
    most ? [element("p", {}, element("span", { className: `key ${kind}` }), `${words}, by ${counted(most, "point")} at most.`)] : [];
  return [
    plain,
    mapped,
    element("p", {}, `How the probability of “${best}” (${percent(confidence)}${certain ? "" : ", so uncertain"}) `
      + "changes when squares of the face are hidden, one after the other."),
    ...line("lowers", "Orange: hiding it lowers the probability", points(Math.max(...places))),
    ...line("raises", "Blue: hiding it raises the probability", points(-Math.min(...places))),
  ];
}

function paintMap(canvas, crop, places) {
  const scale = Math.max(FAINTEST_SCALE, ...places.map(Math.abs));
  const image = new ImageData(canvas.width, canvas.height);
  crop.forEach((grey, i) => {
    const cover = (COVER * Math.abs(places[i])) / scale;
    const mixed = (places[i] > 0 ? LOWERS : RAISES).map((value) => grey * (1 - cover) + value * cover);
    image.data.set([...mixed, 255], 4 * i);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}
