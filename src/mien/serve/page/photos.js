// The list of pictures that were given: each with its boxes and faces, or the reason why not.
// Knows nothing about how they are read.

import { byId, element, say } from "./dom.js";
import { boxes, FaceCard } from "./faces.js";
import { all } from "./words.js";

const SMALL = 320; // pixels; a picture that is no wider is shown in this width
const NOT_SHOWN = "This browser cannot show the picture."; // perhaps of a kind that the server reads all the same
const LYING = "Browsers do not turn a WebP as its EXIF data tell. It was read upright, so no boxes are drawn.";
const MOST_KEPT = 24; // pictures, or as many as came together; the oldest go

export class Photos {
  /**
   * `reader()` says how pictures that are given now are read: a function of a file that gives {width, height, faces}
   * or rejects with the reason. It may also give `cut()`, crops that come later, and `lying`, that browsers show
   * the picture otherwise than it was read. `explain(crop)` gives a map.
   */
  constructor(model, reader, explain) {
    Object.assign(this, { model, reader, explain });
    this.last = new Map(); // what ends when all that was begun in turn is done, by its kind
    this.list = byId("photos");
    byId("clear").addEventListener("click", () => this.clear());
  }

  /** Show pictures at the top of the list, in their order, and what is read in them when that is known. */
  add(named) {
    if (!named.length) return;
    const read = this.reader();
    const items = named.map(([file, name]) => this.item(file, name));
    this.list.prepend(...items.map((item) => item.element));
    byId("answers").hidden = false;
    const kept = Math.max(MOST_KEPT, items.length);
    while (this.list.children.length > kept) this.remove(this.list.lastElementChild);
    items[0].element.scrollIntoView({ block: "nearest" });
    for (const item of items) this.inTurn(read, () => this.fillWhenRead(item, read));
  }

  /** Do tasks of a kind one after the other, so that pictures which are removed meanwhile cost nothing. */
  inTurn(kind, task) {
    const before = this.last.get(kind) ?? Promise.resolve();
    this.last.set(kind, before.then(task));
  }

  async fillWhenRead(item, read) {
    if (!item.element.isConnected) return;
    try {
      const answer = await read(item.file);
      if (item.element.isConnected) this.fill(item, answer);
    } catch (fault) {
      if (item.element.isConnected) this.fail(item, fault);
    }
  }

  item(file, name) {
    const address = URL.createObjectURL(file);
    const image = element("img", { src: address, alt: name });
    const frame = element("figure", { className: "framed" }, element("div", {}, image));
    const faces = element("ul", { className: "faces bars", ariaLabel: `Faces in ${name}` });
    const said = element("p", { className: "said" }, "Reading…");
    const remove = element("button", { type: "button", className: "small", ariaLabel: `Remove ${name}` }, "Remove");
    const title = element("div", { className: "titled" }, element("h3", {}, name), remove);
    const right = element("div", {}, said, faces);
    const beside = element("div", { className: "beside" }, frame, right);
    const item = { file, name, element: element("li", {}, title, beside), image, frame, faces, said, beside };
    image.addEventListener("error", () => frame.replaceChildren(element("p", { className: "quiet" }, NOT_SHOWN)));
    item.element.release = () => URL.revokeObjectURL(address);
    remove.addEventListener("click", () => {
      const near = item.element.nextElementSibling ?? item.element.previousElementSibling;
      this.remove(item.element);
      (near?.querySelector("button") ?? byId("choose")).focus();
    });
    return item;
  }

  fill(item, answer) {
    const words = all(answer.faces, this.model);
    const numbered = answer.faces.map((face, i) => ({ ...face, number: answer.faces.length > 1 ? i + 1 : 0 }));
    item.said.textContent = words;
    item.element.dataset.done = "read";
    item.beside.classList.toggle("many", numbered.length > 3);
    this.drawBoxes(item, { ...answer, faces: numbered });
    const cards = numbered.map((face) => this.card(face));
    item.faces.append(...cards.map((card) => card.element));
    if (answer.cut) this.inTurn("cut", () => this.addCrops(item, cards, answer.cut));
    say(`${item.name}: ${words}`);
  }

  fail(item, { message }) {
    item.said.textContent = `Not read: ${message}.`;
    item.element.dataset.done = "failed";
    item.beside.classList.add("small");
    say(`${item.name} could not be read: ${message}.`);
  }

  /** The picture in its size, with boxes over it where it is shown as it was read. */
  drawBoxes({ image, frame, beside }, { width, height, faces, lying }) {
    image.alt += `, ${all(faces, this.model)}`;
    frame.style.maxWidth = `${Math.max(width, SMALL)}px`;
    beside.classList.toggle("small", width <= SMALL);
    if (!image.isConnected) return;
    if (lying) frame.append(element("figcaption", {}, LYING));
    else image.after(boxes(width, height, faces, this.model));
  }

  card(face) {
    const card = new FaceCard(this.model, { number: face.number, explain: this.explain });
    card.show(face);
    return card;
  }

  /** What the network sees of faces that were read elsewhere, where this browser can open the picture. */
  async addCrops(item, cards, cut) {
    if (!item.element.isConnected || !cards.length) return;
    const crops = await cut().catch(() => []);
    cards.forEach((card, i) => (crops[i] ? card.showCrop(crops[i]) : card.hideCrop()));
  }

  remove(item) {
    item.release();
    item.remove();
    byId("answers").hidden = !this.list.children.length;
  }

  clear() {
    [...this.list.children].forEach((item) => this.remove(item));
    byId("choose").focus();
    say("All pictures were removed.");
  }
}
