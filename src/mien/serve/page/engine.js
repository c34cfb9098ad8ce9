// The page's end of the worker that detects and classifies faces: requests go in, promises come out.
// Knows nothing about what is shown.

export class Engine {
  constructor(step = () => {}) {
    this.waiting = new Map();
    this.last = 0;
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => (data.step ? step(data.step) : this.answered(data));
    this.worker.onerror = (error) => this.failed(error.message || "its script could not be loaded");
  }

  /** Fetch and start the networks that a model of /v1/model names; gives {threads}, as `started` does from then on. */
  start(model) {
    this.started = this.ask("start", { model });
    this.started.catch(() => {}); // whoever waits for it gets the error
    return this.started;
  }

  /** The faces of a picture file, {width, height, faces}. */
  predict(file) {
    return this.ask("predict", { file });
  }

  cut(file, faces) {
    return this.ask("cut", { file, faces });
  }

  /** The faces of a camera's frame; the frame is handed over and gone here. */
  follow(frame, seconds) {
    return this.ask("follow", { frame, seconds }, [frame]);
  }

  forget() {
    return this.ask("forget", {});
  }

  /** Class probabilities of crops. */
  read(crops) {
    return this.ask("read", { crops });
  }

  explain(crop) {
    return this.ask("explain", { crop });
  }

  ask(task, options, handedOver = []) {
    return new Promise((resolve, reject) => {
      if (this.error) return reject(new Error(this.error));
      this.waiting.set(++this.last, { resolve, reject });
      this.worker.postMessage({ id: this.last, task, options }, handedOver);
    });
  }

  answered({ id, result, problem }) {
    const { resolve, reject } = this.waiting.get(id);
    this.waiting.delete(id);
    if (problem) reject(new Error(problem));
    else resolve(result);
  }

  failed(error) {
    this.error = `the engine stopped (${error}); load the page again`;
    for (const { reject } of this.waiting.values()) reject(new Error(this.error));
    this.waiting.clear();
  }
}
