// The recognizer for Node: index.js, with files read from the disk.

import { readFile } from "node:fs/promises";
import { PictureError, Recognizer as Everywhere } from "./index.js";
import { fetched } from "./lib/recognizer.js";

const bytesOf = (address) => (address.protocol === "file:" ? readFile(address) : fetched(address));

export { PictureError };

export class Recognizer extends Everywhere {
  static load(options = {}) {
    return super.load({ ...options, bytesOf });
  }
}
