// The page put together: what the server says of the model, the engine, pictures that come in by any way.

import { byId } from "./dom.js";
import { Camera } from "./camera.js";
import { Engine } from "./engine.js";
import { Photos } from "./photos.js";
import { askServer } from "./remote.js";
import { showSamples } from "./samples.js";
import { percent } from "./words.js";

const REMOTE = {
  false: "Off. Photos are read in this browser, and so are the camera’s pictures, always.",
  true: "On. Each photo that you give from now on is sent to the server, which reads it and keeps nothing. "
    + "The camera’s pictures are still read in this browser.",
};
const KEY_NEEDED = "Off: this server reads photos for those alone who have its key, and this page has none.";
const PROMISE = {
  false: ["Nothing leaves this page:", "faces are found and read on this device."],
  true: ["Photos are sent to the server:", "it finds and reads the faces in them and keeps nothing."],
};
let calm = ""; // what stood there before something went wrong

function tell(words, bad = false) {
  if (!bad) calm = words;
  byId("state").textContent = words;
  byId("state").classList.toggle("bad", bad);
}

async function main() {
  tell("Loading…");
  const answer = await fetch("v1/model");
  if (!answer.ok) throw new Error(`the server answers ${answer.status} when asked for the model`);
  const model = await answer.json();
  const engine = new Engine((step) => tell(`Loading ${step}…`));
  const started = engine.start(model);
  started.catch(() => {}); // it is told below; pictures that wait for it tell it too
  const photos = new Photos(model, reader(model, engine, started), (crop) => engine.explain(crop));
  new Camera(model, engine, (words) => tell(words, true));
  const give = (named) => {
    tell(calm);
    photos.add(named);
  };
  takePictures(give);
  showModel(model);
  const gallery = showSamples((file, name) => give([[file, name]])).catch(() => {}); // it is an extra
  const { threads } = await started;
  await gallery;
  tell(`Ready: the model “${model.name}” is in this page, which now works without the network, too.`);
  document.documentElement.dataset.ready = threads;
}

/** How a photo is read: in this browser, or by the server where the switch says so. */
function reader(model, engine, started) {
  const remote = byId("remote");
  remote.disabled = model.key;
  if (model.key) byId("remote-words").textContent = KEY_NEEDED;
  remote.addEventListener("change", () => {
    byId("remote-words").textContent = REMOTE[remote.checked];
    [byId("promise").textContent, byId("where").textContent] = PROMISE[remote.checked];
  });
  return async (file) => {
    if (!remote.checked) {
      await started;
      return engine.predict(file);
    }
    const answer = await askServer(file, model);
    const crops = await started.then(() => engine.cut(file, answer.faces)).catch(() => []);
    return { ...answer, faces: answer.faces.map((face, i) => ({ ...face, crop: crops[i] })) };
  };
}

/** Pictures chosen, dropped anywhere on the page, or pasted. */
function takePictures(add) {
  const take = (files) => add([...files].map((file) => [file, file.name || "a pasted picture"]));
  const [input, drop] = [byId("files"), byId("drop")];
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take(input.files);
    input.value = "";
  });
  const over = (yes) => (event) => {
    event.preventDefault();
    drop.classList.toggle("over", yes);
  };
  document.addEventListener("dragover", over(true));
  document.addEventListener("dragleave", over(false));
  document.addEventListener("drop", (event) => {
    over(false)(event);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files);
    else tell("What was dropped is no file. Save the picture first, then drop the file.", true);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
    else tell("There is no picture in the clipboard.", true);
  });
}

function showModel(model) {
  byId("reports").hidden = !model.reports;
  byId("threshold").textContent = percent(model.threshold);
  byId("card-text").innerHTML = model.card_html; // made and escaped by the server
}

main().catch((fault) => tell(`This page cannot read pictures: ${fault.message}.`, true));
