// Images in, faces with their expressions out: mien's recognizer for browsers. node.js beside it is the same for Node.

import { imageRaster } from "./images.js";
import { PictureError } from "./lib/picture.js";
import { fetched, Recognizer as Networks } from "./lib/recognizer.js";
import { prediction } from "./lib/words.js";

const HERE = import.meta.url; // under a name, or bundlers would look for assets at what stands beside it
const MODEL = "models/model.json";
const ENGINE = "lib/vendor/ort-wasm-simd-threaded.wasm";

export { PictureError };

export class Recognizer {
  #networks;
  #last = Promise.resolve(); // the networks do one thing at a time

  /** Use `Recognizer.load`. */
  constructor(networks, threshold) {
    this.#networks = networks;
    const { name, labels, side, card, limits, licence } = networks.model;
    Object.assign(this, { name, labels, side, threshold, card, limits, licence });
  }

  static async load({ model = MODEL, baseUrl = new URL("./", HERE), threshold, threads = 1, bytesOf = fetched } = {}) {
    const base = new URL(baseUrl, globalThis.location?.href ?? HERE);
    const address = new URL(model, base);
    const description = JSON.parse(new TextDecoder().decode(await bytesOf(address).catch(explained)));
    const { model_url, detector_url } = description;
    for (const [name, url] of Object.entries({ model_url, detector_url })) description[name] = new URL(url, address);
    const networks = await Networks.load(description, { bytesOf, engine: new URL(ENGINE, base), threads });
    return new this(networks, share(threshold ?? description.threshold));
  }

  async predict(image) {
    const picture = await imageRaster(image);
    const faces = await this.#inTurn(() => this.#networks.predict(picture));
    return faces.map((face) => this.#answer(face));
  }

  async explain({ crop }) {
    return this.#inTurn(() => this.#networks.explain(crop));
  }

  async release() {
    return this.#inTurn(() => this.#networks.release());
  }

  #answer({ box, score, landmarks, crop, probabilities }) {
    const { label, best, confidence, certain } = prediction({ probabilities }, this);
    const byLabel = Object.fromEntries(this.labels.map((name, i) => [name, probabilities[i]]));
    return { box, score, landmarks, label, best, confidence, certain, probabilities: byLabel, crop };
  }

  #inTurn(task) {
    const done = this.#last.then(task);
    this.#last = done.catch(() => {});
    return done;
  }
}

function explained(error) {
  throw new Error(`${error.message}; give the address of the package's folder as baseUrl`, { cause: error });
}

function share(threshold) {
  if (typeof threshold === "number" && threshold >= 0 && threshold <= 1) return threshold;
  throw new RangeError(`threshold must be a number from 0 to 1 and is ${threshold}`);
}
