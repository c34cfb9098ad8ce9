// The worker's end of engine.js: it detects and classifies faces so that the page stays fluid. Knows nothing about the page.

import { decode, pixels, PictureError } from "./picture.js";
import { raster } from "./pillow.js";
import { Follower } from "./follow.js";
import { Recognizer } from "./recognizer.js";

let recognizer;
let follower;

const tasks = {
  async start({ model }) {
    const loaded = await Recognizer.load(model, (step) => postMessage({ step }));
    recognizer = loaded.recognizer;
    follower = new Follower(recognizer);
    await recognizer.probabilities([new Uint8Array(model.side * model.side)]);
    return { threads: loaded.threads };
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
