// The camera: its frames with boxes, a card for each person, a timeline. Knows nothing about how faces are classified.

import { byId, element, reveal, say } from "./dom.js";
import { FaceCard } from "./faces.js";
import { overlay } from "./overlay.js";
import { Timeline } from "./timeline.js";
import { counted, prediction } from "./words.js";

const LONG_SIDE = 640; // pixels of a frame that is classified
const IDEAL = { width: { ideal: 640 }, height: { ideal: 480 } };
const UPDATE_SECONDS = 1; // between two updates of the words under the frame
const STEADY_SECONDS = 1; // that a label must last before it is said aloud
const ERRORS = {
  NotAllowedError: "The camera is not allowed here. Allow it in the browser’s address bar, then try again.",
  NotFoundError: "No camera was found.",
  OverconstrainedError: "No such camera was found.",
  NotReadableError: "The camera does not answer; perhaps another program holds it.",
};
const STARTING = "Starting the camera…";
const NOT_SAFE =
  "Browsers give the camera to pages at https:// addresses and on this machine (http://127.0.0.1) alone.";

export class Camera {
  /** `engine` tracks faces; `tell(words)` says what is wrong. */
  constructor(model, engine, tell) {
    Object.assign(this, { model, engine, tell });
    this.video = byId("video");
    this.stage = byId("stage");
    this.timeline = new Timeline(byId("timeline"), model);
    this.cards = new Map(); // by person
    byId("camera").addEventListener("click", async () => (await informed(model.notice)) && this.start());
    byId("stop").addEventListener("click", () => this.stop());
    byId("other").addEventListener("click", () => this.switchOver());
  }

  get running() {
    return Boolean(this.stream);
  }

  async start(device = { facingMode: "user" }) {
    if (!navigator.mediaDevices?.getUserMedia) return this.tell(NOT_SAFE);
    byId("camera").disabled = true;
    try {
      await this.engine.started; // nobody is asked for a camera whose frames cannot be classified
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { ...IDEAL, ...device }, audio: false });
    } catch (error) {
      return this.tell(ERRORS[error.name] ?? `The camera cannot be used (${error.message}).`);
    } finally {
      byId("camera").disabled = false;
      if (document.activeElement === document.body) byId("camera").focus({ preventScroll: true }); // lost meanwhile
    }
    try {
      await this.begin();
    } catch (error) {
      if (this.running) this.stop(`The camera cannot be shown (${error.message}).`);
    }
  }

  async begin() {
    const { stream } = this;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => this.stop("The camera is gone."));
    this.device = track.getSettings().deviceId;
    this.mirrored = track.getSettings().facingMode !== "environment";
    this.video.classList.toggle("mirrored", this.mirrored);
    this.video.srcObject = this.stream;
    byId("live").hidden = false;
    this.reset();
    const focused = document.activeElement === byId("camera");
    byId("camera").hidden = true;
    if (focused) byId("stop").focus({ preventScroll: true });
    reveal(byId("live"));
    const devices = await navigator.mediaDevices.enumerateDevices();
    this.devices = devices.filter(({ kind }) => kind === "videoinput");
    byId("other").hidden = this.devices.length < 2;
    await this.video.play();
    await this.engine.forget();
    if (this.stream === stream) this.watch(); // it may have been stopped and begun anew meanwhile
  }

  /** Nothing stays of what an earlier camera showed and of what was said. */
  reset() {
    this.picked = this.shown = this.updated = this.labels = this.spoken = undefined;
    this.stage.querySelector("svg")?.remove();
    this.showCards([]);
    this.offer([]);
    this.timeline.clear();
    this.timeline.draw(this.shown, 0);
    byId("timeline").setAttribute("aria-label", "Timeline of probabilities");
    byId("shares").textContent = "";
    byId("rate").textContent = STARTING;
  }

  async switchOver() {
    const at = this.devices.findIndex(({ deviceId }) => deviceId === this.device);
    const { deviceId } = this.devices[(at + 1) % this.devices.length];
    this.stop();
    await this.start({ deviceId: { exact: deviceId } });
    if (this.running) byId("other").focus({ preventScroll: true });
  }

  stop(words = "") {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
    const focused = byId("live").contains(document.activeElement);
    byId("live").hidden = true;
    byId("camera").hidden = false;
    if (focused) byId("camera").focus();
    if (words) this.tell(words);
  }

  /** Frame after frame: the newest is classified when the one before is done, and those between are passed over. */
  async watch() {
    const { stream } = this;
    const times = [];
    let next = nextFrame(this.video);
    while (this.stream === stream) {
      await next;
      next = nextFrame(this.video);
      if (this.stream !== stream || !this.video.videoWidth || document.hidden) continue;
      const seconds = performance.now() / 1000;
      try {
        const frame = await createImageBitmap(this.video, smaller(this.video));
        const result = await this.engine.follow(frame, seconds);
        if (this.stream === stream) this.show(result, seconds, times);
      } catch (error) {
        if (this.stream === stream) this.stop(`The camera was stopped: ${error.message}.`);
      }
    }
  }

  show({ width, height, faces }, seconds, times) {
    const numbered = faces.map((face) => ({ ...face, number: faces.length > 1 ? face.person : 0 }));
    this.showBoxes(width, height, numbered);
    this.showCards(numbered);
    for (const face of faces) this.timeline.add(face, seconds);
    this.timeline.forget(seconds);
    this.timeline.draw(this.chosen(faces), seconds);
    times.push(performance.now() / 1000);
    while (times[0] < times.at(-1) - 2) times.shift();
    this.stage.dataset.frames = Number(this.stage.dataset.frames ?? 0) + 1;
    this.update(seconds, times);
    this.speak(faces, seconds);
  }

  showBoxes(width, height, faces) {
    this.stage.querySelector("svg")?.remove();
    const { clientWidth, clientHeight } = this.video; // in which the frame is shown whole
    const unit = 1 / Math.min(clientWidth / width, clientHeight / height);
    this.video.after(overlay(faces, this.model, { width, height, unit, mirrored: this.mirrored }));
  }

  showCards(faces) {
    byId("nobody").hidden = faces.length > 0;
    for (const [person, card] of this.cards) {
      if (faces.some((face) => face.person === person)) continue;
      card.element.remove();
      this.cards.delete(person);
    }
    for (const face of faces) {
      if (!this.cards.has(face.person)) {
        const card = new FaceCard(this.model);
        this.cards.set(face.person, card);
        byId("people").append(card.element);
      }
      const card = this.cards.get(face.person);
      card.number = face.number;
      card.show(face);
    }
  }

  /** Whose timeline is shown: the one that was picked while there is something of it, else the largest face. */
  chosen(faces) {
    const people = [...this.timeline.people.keys()];
    const largest = faces.toSorted((one, other) => other.box[2] - one.box[2])[0]?.person;
    if (!people.includes(this.picked)) this.picked = undefined;
    this.shown = this.picked ?? largest ?? this.shown;
    this.offer(people);
    return this.shown;
  }

  /** Radio buttons for the people of the timeline, made anew only when they change. */
  offer(people) {
    const group = byId("whose");
    group.hidden = people.length < 2;
    if (group.dataset.people !== people.join()) {
      group.dataset.people = people.join();
      group.replaceChildren(...people.map((person) => this.choice(person)));
    }
    for (const input of group.querySelectorAll("input")) input.checked = Number(input.value) === this.shown;
  }

  choice(person) {
    const onchange = () => (this.picked = person);
    const input = element("input", { type: "radio", name: "whose", value: person, onchange });
    return element("label", {}, input, `Face ${person}`);
  }

  update(seconds, times) {
    if (seconds - (this.updated ?? 0) < UPDATE_SECONDS) return;
    this.updated = seconds;
    const rate = (times.length - 1) / Math.max(0.001, times.at(-1) - times[0]);
    byId("rate").textContent = times.length > 2 ? `${counted(Math.round(rate), "frame")} a second` : "";
    const shares = this.timeline.shares(this.shown);
    byId("shares").textContent = shares && `Of this time: ${shares}.`;
    byId("timeline").setAttribute("aria-label", `Timeline of probabilities. ${shares}`);
  }

  /** Say the labels aloud when they are other ones and have lasted. */
  speak(faces, seconds) {
    const labels = faces.map((face) => prediction(face, this.model).label).join(", ") || "no face";
    if (labels !== this.labels) [this.labels, this.since] = [labels, seconds];
    if (labels === this.spoken || seconds - this.since < STEADY_SECONDS) return;
    this.spoken = labels;
    say(`Camera: ${labels}.`);
  }
}

/** Whether the reader starts the camera after what the server has people told, if it has. */
function informed(notice) {
  if (!notice) return true;
  const dialog = byId("notice");
  byId("notice-text").textContent = notice;
  dialog.returnValue = ""; // of an earlier time
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "start"), { once: true });
  });
}

function nextFrame(video) {
  return new Promise((resolve) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
    else requestAnimationFrame(resolve);
    setTimeout(resolve, 1000); // a camera that was stopped gives no further frame
  });
}

/** How a frame is made smaller on the way to the worker, where it is larger than is needed. */
function smaller({ videoWidth, videoHeight }) {
  const factor = LONG_SIDE / Math.max(videoWidth, videoHeight);
  if (factor >= 1) return {};
  const size = { resizeWidth: Math.round(videoWidth * factor), resizeHeight: Math.round(videoHeight * factor) };
  return { ...size, resizeQuality: "medium" };
}
