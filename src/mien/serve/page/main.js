// The page put together: what the server says of the model, the engine, images that come in by any way.

import { byId } from "./dom.js";
import { Camera } from "./camera.js";
import { Engine } from "./engine.js";
import { storePage } from "./offline.js";
import { Photos } from "./photos.js";
import { turnedWebp } from "./picture.js";
import { askServer, modelOfServer } from "./remote.js";
import { showSamples } from "./samples.js";
import { percent } from "./words.js";

const REMOTE = {
  false: "Off. Photos are classified in this browser, and so is what the camera shows, always.",
  true: "On. Each photo that you give from now on is sent to the server, which classifies it and keeps nothing. "
    + "What the camera shows is still classified in this browser.",
};
const KEY_NEEDED = "Off: this server classifies photos only for those who have its key, and this page has none.";
const PROMISE = {
  false: ["Nothing leaves this page:", "faces are detected and classified on this device."],
  true: ["Photos are sent to the server:", "it detects and classifies the faces in them and keeps nothing."],
};
const FOLDER = "A folder was dropped. Drop the images that lie in it.";
const NO_FILE = "What was dropped is no file. Save the image first, then drop the file.";
let lasting; // what stands there again when a warning is over

function show({ words, bad }) {
  byId("state").textContent = words;
  byId("state").classList.toggle("bad", bad);
}

function tell(words, bad = false) {
  lasting = { words, bad };
  show(lasting);
}

/** Tell what went wrong with one thing, until the next one is tried. */
function warn(words) {
  show({ words, bad: true });
}

async function main() {
  tell("Loading…");
  const give = (named) => {
    show(lasting);
    page.then(({ photos }) => photos.add(named), () => {}); // where there is no page, the reason stands there
  };
  const page = modelOfServer(document.documentElement.dataset.model).then((model) => assembled(model, give));
  takeImages(give); // at once: without it a browser leaves the page for an image that is dropped on it
  const { model, engine, gallery } = await page;
  const { threads } = await engine.started;
  await gallery;
  const ready = `Ready: the model “${model.name}” is loaded, and this page works offline`;
  tell(`${ready}.`);
  document.documentElement.dataset.ready = threads;
  if (!(await storePage())) return;
  tell(`${ready}, also after a reload.`);
  document.documentElement.dataset.stored = "";
}

/** The parts of the page, which wait for the engine by themselves. */
function assembled(model, give) {
  const engine = new Engine((step) => tell(`Loading ${step}…`));
  engine.start(model);
  const photos = new Photos(model, classifier(model, engine), (crop) => engine.explain(crop));
  new Camera(model, engine, warn);
  showModel(model);
  const gallery = showSamples(model.samples_url, (file, name) => give([[file, name]])).catch(() => {}); // it is an extra
  for (const name of ["choose", "camera"]) byId(name).disabled = false;
  return { model, engine, photos, gallery };
}

/** How photos that are given now are read: in this browser, or by the server if the switch says so, and still does. */
function classifier(model, engine) {
  const here = (file) => classifyHere(file, engine);
  if (!model.api) return () => here; // plain files, without a server that classifies
  byId("switch").hidden = false;
  const remote = byId("remote");
  remote.checked = false; // as the page says, whatever the browser remembers
  remote.disabled = model.key;
  if (model.key) byId("remote-words").textContent = KEY_NEEDED;
  remote.addEventListener("change", () => {
    byId("remote-words").textContent = REMOTE[remote.checked];
    [byId("promise").textContent, byId("where").textContent] = PROMISE[remote.checked];
  });
  const there = (file) => (remote.checked ? classifyThere(file, model, engine) : here(file)); // not if it is off meanwhile
  return () => (remote.checked ? there : here);
}

async function classifyHere(file, engine) {
  await engine.started;
  return engine.predict(file);
}

/** What the server says, without waiting for this browser, which cuts out the faces when it can. */
async function classifyThere(file, model, engine) {
  const lying = await turnedWebp(file);
  const answer = await askServer(file, model);
  const cut = async () => {
    await engine.started;
    return engine.cut(file, answer.faces);
  };
  return { ...answer, lying, cut };
}

/** Images chosen, dropped anywhere on the page, or pasted. */
function takeImages(add) {
  const take = (files) => add([...files].map((file) => [file, file.name || "a pasted image"]));
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
    const { files, folders } = dropped(event.dataTransfer);
    if (files.length) take(files);
    if (folders) warn(FOLDER);
    else if (!files.length) warn(NO_FILE);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
    else warn("There is no image in the clipboard.");
  });
}

/** The files that were dropped and how many folders, which browsers give as files, too. */
function dropped({ items }) {
  const all = [...items].filter(({ kind }) => kind === "file");
  const files = all.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory);
  return { files: files.map((item) => item.getAsFile()), folders: all.length - files.length };
}

function showModel(model) {
  byId("api").hidden = !model.api;
  byId("reports").hidden = !model.reports;
  byId("threshold").textContent = percent(model.threshold);
  byId("card-text").innerHTML = model.card_html; // made and escaped by the server
}

main().catch((error) => tell(`This page cannot classify images: ${error.message}.`, true));
