// The recognizers that bench/browser.py compares, in the page: each is made by `load(name)` and then classifies crops,
// grey bytes 48 x 48, one at a time, as rows of probabilities in the order of LABELS.

const LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
const OTHER_NAMES = { disgusted: "disgust", fearful: "fear", surprised: "surprise" };
const SIDE = 48;
const loaded = {};

const makers = {
  "pocket": () => mien("/mien-pocket/"),
  "pocket-photos": () => mien("/mien-pocket-photos/"),
  "pocket-photos, WebGPU": () => mienOnGpu("/mien-pocket-photos/"),

  async "face-api"() {
    const api = await import("/node_modules/@vladmandic/face-api/dist/face-api.esm.js");
    await onWasm(api.tf);
    await api.nets.faceExpressionNet.loadFromUri("/node_modules/@vladmandic/face-api/model/");
    return async (crop) => byLabel(await api.nets.faceExpressionNet.predictExpressions(drawn(crop)));
  },

  // its model alone, fed as src/gear/emotion.ts feeds it: its own pipeline rounds probabilities and drops those below .1
  async "human"() {
    const { default: Human } = await import("/node_modules/@vladmandic/human/dist/human.esm.js");
    const human = new Human({ backend: "wasm", wasmPath: WASM, modelBasePath: "/node_modules/@vladmandic/human/models/" });
    const { tf } = human;
    await onWasm(tf);
    const model = await tf.loadGraphModel("/node_modules/@vladmandic/human/models/emotion.json");
    const side = model.inputs[0].shape[2];
    return async (crop) => {
      const scores = tf.tidy(() => {
        const image = tf.tensor4d(Float32Array.from(crop, (value) => value / 255), [1, SIDE, SIDE, 1]);
        return model.execute(tf.mul(tf.sub(tf.image.resizeBilinear(image, [side, side], false), 0.5), 2));
      });
      const data = await scores.data();
      scores.dispose();
      return [...data];
    };
  },
};

const WASM = "/node_modules/@tensorflow/tfjs-backend-wasm/dist/";

async function onWasm(tf) {
  tf.setWasmPaths(WASM);
  await tf.setBackend("wasm");
  await tf.ready();
  if (tf.getBackend() !== "wasm") throw new Error(`the backend is ${tf.getBackend()}`);
}

async function mien(folder) {
  const { Recognizer } = await import(`${folder}lib/recognizer.js`);
  const recognizer = await Recognizer.load(await description(folder));
  return async (crop) => (await recognizer.probabilities([crop]))[0];
}

async function mienOnGpu(folder) {
  const ort = await import("/node_modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs");
  ort.env.wasm.wasmPaths = "/node_modules/onnxruntime-web/dist/";
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(`${folder}models/model.onnx`, { executionProviders: ["webgpu"] });
  return async (crop) => {
    const { probabilities } = await session.run({ faces: new ort.Tensor("uint8", crop, [1, 1, SIDE, SIDE]) });
    return [...probabilities.data];
  };
}

async function description(folder) {
  const model = await (await fetch(`${folder}models/model.json`)).json();
  for (const name of ["model_url", "detector_url"]) model[name] = `${folder}models/${model[name]}`;
  return model;
}

function byLabel(scores) {
  const named = Object.fromEntries(Object.entries(scores).map(([name, score]) => [OTHER_NAMES[name] ?? name, score]));
  return LABELS.map((label) => named[label]);
}

function drawn(crop) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const pixels = new ImageData(SIDE, SIDE);
  crop.forEach((value, i) => pixels.data.set([value, value, value, 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

export async function load(name) {
  loaded[name] = await makers[name]();
  await loaded[name](new Uint8Array(SIDE * SIDE)); // the first call prepares what later ones find
}

/** Classify the faces from one number to another of a file of crops. */
export async function classify(name, first, last) {
  const bytes = await faces();
  const rows = [];
  for (let i = first; i < last; i++) rows.push(await loaded[name](bytes.slice(i * SIDE * SIDE, (i + 1) * SIDE * SIDE)));
  return rows;
}

let whole;

async function faces() {
  whole ??= new Uint8Array(await (await fetch("/faces.bin")).arrayBuffer());
  return whole;
}
