// Images in, faces with their expressions out: predict/recognizer.py in the browser.
// Knows nothing about the page. It runs one thing at a time.

import * as ort from "./vendor/ort.wasm.bundle.min.js";
import { align } from "./align.js";
import { Finder } from "./finder.js";
import { occlusion } from "./occlusion.js";

const BATCH = 32; // faces that the network classifies at once
const ENGINE = new URL("vendor/ort-wasm-simd-threaded.wasm", import.meta.url);
const SESSION = { executionProviders: ["wasm"], enableMemPattern: false, logSeverityLevel: 3 };

export class Recognizer {
  /** `model` is what /v1/model says, `network` its session of ONNX Runtime, `detector` that of the finder. */
  constructor(model, network, detector) {
    const run = (pixels, height, width) =>
      detector.run({ "input.1": new ort.Tensor("float32", pixels, [1, 3, height, width]) });
    Object.assign(this, { model, network, detector, finder: new Finder(run, model.detector, model.small_faces) });
  }

  /**
   * Get the two networks and start the engine, WebAssembly at the address `engine`; `bytesOf` gives the bytes at an
   * address, `step` hears what is going on.
   */
  static async load(model, { threads = 1, step = () => {}, bytesOf = fetched, engine = ENGINE } = {}) {
    ort.env.wasm.numThreads = threads;
    if (engine.protocol === "file:") ort.env.wasm.wasmBinary = await bytesOf(engine); // Node fetches no files
    else ort.env.wasm.wasmPaths = { wasm: engine.href };
    ort.env.logLevel = "error";
    step("the face detector");
    const detectorFile = await bytesOf(model.detector_url);
    step("the model");
    const modelFile = await bytesOf(model.model_url);
    step("the engine");
    const detector = await ort.InferenceSession.create(detectorFile, SESSION);
    const network = await ort.InferenceSession.create(modelFile, SESSION);
    return new Recognizer(model, network, detector);
  }

  /** Give the memory of the networks back. */
  async release() {
    await Promise.all([this.detector.release(), this.network.release()]);
  }

  /** The faces of a raster with `crop` and `probabilities`, the largest first. */
  async predict(picture) {
    return this.classify(picture, await this.finder.find(picture));
  }

  /** Detected faces with `crop` and `probabilities`, which `before` is for. */
  async classify(picture, faces, before) {
    const crops = faces.map((face) => this.crop(picture, face));
    const probabilities = await this.probabilities(crops, before);
    return faces.map((face, i) => ({ ...face, crop: crops[i], probabilities: probabilities[i] }));
  }

  crop(picture, face) {
    return align(picture, face, this.model.crop);
  }

  /**
   * Lists of class probabilities of faces, bytes (side * side) each. A model over time takes each for the first frame
   * of a clip, or with `before` for the next frame of one, and puts its new `state` there: {gap, state} of each face,
   * the seconds since its frame before and what the model remembers of that, undefined for a first one.
   */
  async probabilities(crops, before = crops.map(() => ({ gap: 0 }))) {
    const width = this.model.labels.length;
    const rows = [];
    for (let start = 0; start < crops.length; start += BATCH) {
      const [some, memories] = [crops, before].map((all) => all.slice(start, start + BATCH));
      const answer = await this.network.run(this.inputs(some, memories));
      some.forEach((_, i) => {
        rows.push(underPrior([...rowOf(answer.probabilities, i, width)], this.model.prior_gain));
      });
      if (this.model.state_size) {
        memories.forEach((memory, i) => (memory.state = rowOf(answer.next_state, i, this.model.state_size)));
      }
    }
    return rows;
  }

  inputs(crops, memories) {
    const { side, state_size: size } = this.model;
    const inputs = { faces: tensor("uint8", Uint8Array, crops, [1, side, side]) };
    if (!size) return inputs;
    inputs.seconds = tensor("float32", Float32Array, memories.map(({ gap }) => [gap]), []);
    inputs.state = tensor("float32", Float32Array, memories.map(({ state }) => state ?? []), [size]);
    return inputs;
  }

  /** How much hiding each place of a crop lowers the probability of its best class. */
  async explain(crop) {
    const [whole] = await this.probabilities([crop]);
    const best = whole.indexOf(Math.max(...whole));
    const chosen = async (crops) => (await this.probabilities(crops)).map((row) => row[best]);
    return occlusion(crop, this.model.side, chosen, this.model.explain);
  }
}

/** A tensor of rows, one a face; what a row lacks is zeros. */
function tensor(type, Values, rows, shape) {
  const width = shape.reduce((product, length) => product * length, 1);
  const values = new Values(rows.length * width);
  rows.forEach((row, i) => values.set(row, i * width));
  return new ort.Tensor(type, values, [rows.length, ...shape]);
}

const rowOf = ({ data }, i, width) => data.slice(i * width, (i + 1) * width);

/** Probabilities under the prior that was asked for, of those under the network's own (mien/model/prior.py). */
function underPrior(probabilities, gain) {
  if (gain.every((factor) => factor === 1)) return probabilities;
  const shifted = probabilities.map((share, i) => share * gain[i]);
  const sum = shifted.reduce((total, share) => total + share);
  return shifted.map((share) => share / sum);
}

/** The bytes at an address. */
export async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: the server answers ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}
