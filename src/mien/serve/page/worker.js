// The worker's end of engine.js: it detects and classifies faces so that the page stays fluid. Knows nothing about the page.

import { decode, pixels, PictureError } from "./picture.js";
import { clip } from "./numbers.js";
import { raster } from "./pillow.js";
import { Follower } from "./follow.js";
import { Recognizer } from "./recognizer.js";

const MOST_THREADS = 4; // and one core stays free: threads that wait for each other lose more than they win

let recognizer;
let follower;

const tasks = {
  async start({ model }) {
    const threads = self.crossOriginIsolated ? clip(navigator.hardwareConcurrency - 1, 1, MOST_THREADS) : 1;
    recognizer = await Recognizer.load(model, { threads, step: (step) => postMessage({ step }) });
    follower = new Follower(recognizer);
    await recognizer.probabilities([new Uint8Array(model.side * model.side)]);
    return { threads };
  },

  /** The faces of a picture file. */
  async predict({ file }) {
    const image = await decode(file);
    return { width: image.width, height: image.height, faces: await recognizer.predict(raster(image)) };
  },

  /** The crops of faces that were detected in a picture file. */
  async cut({ file, faces }) {
    const picture = raster(await decode(file));
    return faces.map((face) => recognizer.crop(picture, face));
  },

  /** The faces of a camera's frame, an ImageBitmap, taken at `seconds`. */
  async follow({ frame, seconds }) {
    const image = pixels(frame);
    frame.close();
    return { width: image.width, height: image.height, faces: await follower.follow(raster(image), seconds) };
  },

  forget: async () => follower.forget(),
  read: ({ crops }) => recognizer.probabilities(crops),
  explain: ({ crop }) => recognizer.explain(crop),
};

let before = Promise.resolve(); // the networks do one thing at a time

onmessage = ({ data: { id, task, options } }) => {
  before = before.then(async () => {
    try {
      postMessage({ id, result: await tasks[task](options) });
    } catch (error) {
      const expected = error instanceof PictureError;
      postMessage({ id, problem: expected ? error.message : `something went wrong here (${error.message ?? error})` });
    }
  });
};
