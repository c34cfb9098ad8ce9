// The list of images that were given: each with its boxes and faces, or the reason why not; and their results as files.
// Knows nothing about how they are classified.

import { byId, element, reveal, say } from "./dom.js";
import { FaceCard } from "./faces.js";
import { median, overlay } from "./overlay.js";
import { csv, download, jsonLines, labeledImage } from "./save.js";
import { counted, summary } from "./words.js";

const SMALL = 320; // pixels; an image that is no wider is shown in this width
const NOT_SHOWN = "This browser cannot show the image."; // perhaps of a kind that the server reads all the same
const LYING = "Browsers do not turn a WebP as its EXIF data say. It was classified upright, so no boxes are drawn.";
const SMALLEST_BOX = 72; // pixels of the screen that the median box of several is wide, where the image has as many
const WIDEST = 1100; // pixels; about what a wide page gives an image
const MOST_KEPT = 24; // images, or as many as came together; the oldest go
const OWN_WAY = ["wheel", "touchmove", "pointerdown", "keydown"]; // by which somebody moves through the page

export class Photos {
  /**
   * `classifier()` says how images that are given now are classified: a function of a file that gives {width, height,
   * faces} or rejects with the reason. It may also give `cut()`, crops that come later, and `lying`, that browsers
   * show the image otherwise than it was classified. `explain(crop)` gives a map.
   */
  constructor(model, classifier, explain) {
    Object.assign(this, { model, classifier, explain });
    this.last = new Map(); // what ends when all that was begun in turn is done, by its kind
    this.items = new WeakMap(); // by their element
    this.list = byId("photos");
    byId("clear").addEventListener("click", () => this.clear());
    byId("save-csv").addEventListener("click", () => this.save(csv, "faces.csv", "text/csv"));
    byId("save-json").addEventListener("click", () => this.save(jsonLines, "faces.jsonl", "application/jsonl"));
    for (const kind of OWN_WAY) addEventListener(kind, () => (this.revealed = undefined), { passive: true });
  }

  /** Show images at the top of the list, in their order, and their faces when these are known. */
  add(named) {
    if (!named.length) return;
    const classify = this.classifier();
    const items = named.map(([file, name]) => this.item(file, name));
    this.list.prepend(...items.map((item) => item.element));
    byId("answers").hidden = false;
    const kept = Math.max(MOST_KEPT, items.length);
    while (this.list.children.length > kept) this.remove(this.list.lastElementChild);
    items[0].title.focus({ preventScroll: true });
    this.revealed = items[0];
    reveal(items[0].element);
    for (const item of items) this.inTurn(classify, () => this.fillWhenDone(item, classify));
  }

  /** Again when an item has grown, unless somebody moved meanwhile: before, the page may have been too short for it. */
  revealAgain(item) {
    if (item === this.revealed) reveal(item.element);
  }

  /** Do tasks of a kind one after the other, so that images which are removed meanwhile cost nothing. */
  inTurn(kind, task) {
    const before = this.last.get(kind) ?? Promise.resolve();
    this.last.set(kind, before.then(task));
  }

  async fillWhenDone(item, classify) {
    if (!item.element.isConnected) return;
    try {
      const answer = await classify(item.file);
      if (item.element.isConnected) this.fill(item, answer);
    } catch (error) {
      if (item.element.isConnected) this.fail(item, error);
    }
    this.revealAgain(item);
  }

  item(file, name) {
    const address = URL.createObjectURL(file);
    const image = element("img", { src: address, alt: name });
    const frame = element("figure", { className: "framed" }, element("div", {}, image));
    const faces = element("ul", { className: "faces bars", ariaLabel: `Faces in ${name}` });
    const answer = element("p", { className: "answer" }, "Classifying…");
    const button = (text, words) => element("button", { type: "button", className: "small", ariaLabel: words }, text);
    const [png, remove] = [button("Save image", `Save ${name} with labels`), button("Remove", `Remove ${name}`)];
    png.hidden = true;
    const title = element("h3", { tabIndex: -1 }, name);
    const head = element("div", { className: "titled" }, title, png, remove);
    const beside = element("div", { className: "beside" }, frame, faces);
    const item = { file, name, element: element("li", {}, head, answer, beside), title, image, frame, faces, answer, png, beside };
    image.addEventListener("error", () => frame.replaceChildren(element("p", { className: "quiet" }, NOT_SHOWN)));
    image.addEventListener("load", () => this.revealAgain(item));
    item.element.release = () => URL.revokeObjectURL(address);
    this.items.set(item.element, item);
    png.addEventListener("click", () => this.saveImage(item));
    remove.addEventListener("click", () => {
      const near = item.element.nextElementSibling ?? item.element.previousElementSibling;
      this.remove(item.element);
      (near?.querySelector("button:not([hidden])") ?? byId("choose")).focus();
    });
    return item;
  }

  fill(item, { width, height, faces, lying, cut }) {
    const numbered = faces.map((face, i) => ({ ...face, number: faces.length > 1 ? i + 1 : 0 }));
    const words = summary(faces, this.model);
    item.result = { name: item.name, width, height, faces: numbered };
    item.answer.textContent = words;
    item.element.dataset.done = "classified";
    item.beside.classList.toggle("many", faces.length > 3);
    item.beside.classList.toggle("small", width <= SMALL);
    item.beside.classList.toggle("none", !faces.length);
    item.image.alt += `, ${words}`;
    item.frame.style.maxWidth = `${Math.max(width, SMALL)}px`;
    if (item.image.isConnected) this.showBoxes(item, lying);
    const cards = numbered.map((face) => this.card(face));
    item.faces.append(...cards.map((card) => card.element));
    if (cut) this.inTurn("cut", () => this.addCrops(item, cards, cut));
    say(`${item.name}: ${words}`);
  }

  fail(item, { message }) {
    item.result = { name: item.name, problem: message };
    item.answer.textContent = `Not classified: ${message}.`;
    item.element.dataset.done = "failed";
    item.beside.classList.add("small");
    say(`${item.name} could not be classified: ${message}.`);
  }

  /** Boxes over an image where it is shown as it was classified, anew whenever it is shown in another size. */
  showBoxes({ image, frame, result, png }, lying) {
    if (lying) return frame.append(element("figcaption", {}, LYING));
    png.hidden = false;
    this.enlarge(frame, result);
    const draw = () => {
      if (!image.clientWidth) return; // it is not loaded yet
      image.nextElementSibling?.remove();
      image.after(overlay(result.faces, this.model, { ...result, unit: result.width / image.clientWidth }));
    };
    draw();
    new ResizeObserver(draw).observe(image);
  }

  /** Several faces are shown so large that their labels can be read; a narrow page scrolls the image sideways. */
  enlarge(frame, { width, faces, name }) {
    if (faces.length < 2) return;
    const needed = Math.min(1, SMALLEST_BOX / median(faces.map(({ box }) => box[2]))) * width;
    frame.firstElementChild.style.minWidth = `${Math.round(Math.min(needed, WIDEST))}px`;
    new ResizeObserver(() => {
      const scrolls = frame.scrollWidth > frame.clientWidth; // then the keyboard must reach it
      for (const [key, value] of Object.entries({ role: "region", tabindex: 0, "aria-label": name })) {
        if (scrolls) frame.setAttribute(key, value);
        else frame.removeAttribute(key);
      }
    }).observe(frame);
  }

  card(face) {
    const card = new FaceCard(this.model, { number: face.number, explain: this.explain });
    card.show(face);
    return card;
  }

  /** What the network sees of faces that the server found, where this browser can open the image. */
  async addCrops(item, cards, cut) {
    if (!item.element.isConnected || !cards.length) return;
    const crops = await cut().catch(() => []);
    cards.forEach((card, i) => (crops[i] ? card.showCrop(crops[i]) : card.hideCrop()));
  }

  /** Save the results that are there, in the order of the list. */
  save(written, name, type) {
    const results = [...this.list.children].map((one) => this.items.get(one).result).filter(Boolean);
    download(written(results, this.model), name, type);
    say(`${counted(results.length, "result")} saved.`);
  }

  async saveImage({ name, image, answer, result }) {
    try {
      download(await labeledImage(image, result, this.model), `${name.replace(/\.[^.]*$/, "")}-faces.png`);
      say(`${name} saved with labels.`);
    } catch (error) {
      answer.append(` The image cannot be saved: ${error.message}.`);
      say(answer.textContent);
    }
  }

  remove(item) {
    item.release();
    item.remove();
    byId("answers").hidden = !this.list.children.length;
  }

  clear() {
    [...this.list.children].forEach((item) => this.remove(item));
    byId("choose").focus();
    say("All images were removed.");
  }
}
