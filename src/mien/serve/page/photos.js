// The list of pictures that were given: each with its boxes and faces, or the reason why not.
// Knows nothing about how they are read.

import { byId, element, say } from "./dom.js";
import { boxes, FaceCard } from "./faces.js";
import { all } from "./words.js";

const SMALL = 320; // pixels; a picture that is no wider is shown in this width
const NOT_SHOWN = "This browser cannot show the picture."; // perhaps of a kind that the server reads all the same
const MOST_KEPT = 24; // pictures, or as many as came together; the oldest go

export class Photos {
  /** `read(file)` gives {width, height, faces} or rejects with the reason; `explain(crop)` a map. */
  constructor(model, read, explain) {
    Object.assign(this, { model, read, explain });
    this.list = byId("photos");
    byId("clear").addEventListener("click", () => this.clear());
  }

  /** Show pictures at the top of the list, in their order, and what is read in them when that is known. */
  add(named) {
    if (!named.length) return;
    const items = named.map(([file, name]) => [this.item(file, name), file, name]);
    this.list.prepend(...items.map(([item]) => item.element));
    byId("answers").hidden = false;
    const kept = Math.max(MOST_KEPT, items.length);
    while (this.list.children.length > kept) this.remove(this.list.lastElementChild);
    items[0][0].element.scrollIntoView({ block: "nearest" });
    items.forEach(([item, file, name]) => this.fillWhenRead(item, file, name));
  }

  async fillWhenRead(item, file, name) {
    try {
      const answer = await this.read(file);
      const words = all(answer.faces, this.model);
      item.said.textContent = words;
      item.element.dataset.done = "read";
      this.fill(item, answer);
      say(`${name}: ${words}`);
    } catch (fault) {
      item.said.textContent = `Not read: ${fault.message}.`;
      item.element.dataset.done = "failed";
      item.beside.classList.add("small");
      say(`${name} could not be read: ${fault.message}.`);
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
    const item = { element: element("li", {}, title, beside), address, image, frame, faces, said, beside };
    image.addEventListener("error", () => frame.replaceChildren(element("p", { className: "quiet" }, NOT_SHOWN)));
    item.element.release = () => URL.revokeObjectURL(address);
    remove.addEventListener("click", () => {
      const near = item.element.nextElementSibling ?? item.element.previousElementSibling;
      this.remove(item.element);
      (near?.querySelector("button") ?? byId("choose")).focus();
    });
    return item;
  }

  fill({ image, faces: list, frame, beside }, { width, height, faces }) {
    const numbered = faces.map((face, i) => ({ ...face, number: faces.length > 1 ? i + 1 : 0 }));
    image.alt += `, ${all(faces, this.model)}`;
    frame.style.maxWidth = `${Math.max(width, SMALL)}px`;
    beside.classList.toggle("small", width <= SMALL);
    if (image.isConnected) image.after(boxes(width, height, numbered, this.model));
    beside.classList.toggle("many", faces.length > 3);
    for (const face of numbered) {
      const card = new FaceCard(this.model, { number: face.number, explain: face.crop && this.explain });
      card.show(face);
      list.append(card.element);
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
    say("All pictures were removed.");
  }
}
