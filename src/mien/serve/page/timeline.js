// Probabilities over the last seconds, a lane a class, drawn on a canvas and put into words.
// Knows nothing about cameras.

import { color } from "./dom.js";
import { percent, prediction } from "./words.js";

const SECONDS = 30;
const GAP_SECONDS = 0.7; // between two frames with a face; more is shown as a gap
const ROOM = { bottom: 20, between: 4, beside: 10 }; // pixels
const MOST_LEFT = 1 / 3; // of the width, for the names of the classes

export class Timeline {
  constructor(canvas, model) {
    this.canvas = canvas;
    this.model = model;
    this.people = new Map(); // number -> [{seconds, probabilities, chosen}]
  }

  clear() {
    this.people.clear();
  }

  add({ person, probabilities, chosen }, seconds) {
    if (!this.people.has(person)) this.people.set(person, []);
    this.people.get(person).push({ seconds, probabilities, chosen });
  }

  /** Forget what is older than is shown, and people of whom nothing is left. */
  forget(seconds) {
    for (const [person, points] of this.people) {
      while (points.length && points[0].seconds < seconds - SECONDS - 1) points.shift();
      if (!points.length) this.people.delete(person);
    }
  }

  draw(person, now) {
    const { canvas, model } = this;
    const sharp = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * sharp)) canvas.width = Math.round(width * sharp);
    if (canvas.height !== Math.round(height * sharp)) canvas.height = Math.round(height * sharp);
    const pen = canvas.getContext("2d");
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `13px ${getComputedStyle(canvas).fontFamily}`;
    pen.textBaseline = "middle";
    const lane = (height - ROOM.bottom) / model.labels.length;
    const left = this.left(pen, width);
    const x = (seconds) => width + ((seconds - now) / SECONDS) * (width - left);
    const series = color("series1");
    const runs = unbroken(this.people.get(person) ?? []);
    model.labels.forEach((label, i) => {
      const bottom = (i + 1) * lane - ROOM.between;
      this.drawLane(pen, label, bottom, lane - 2 * ROOM.between, left, width);
      pen.fillStyle = series;
      for (const run of runs) drawArea(pen, run, i, x, bottom, lane - 2 * ROOM.between, left);
    });
    drawTimes(pen, left, width, height);
  }

  /** Where the lanes begin, right of the names. */
  left(pen, width) {
    const widest = Math.max(...this.model.labels.map((label) => pen.measureText(label).width));
    return Math.min(MOST_LEFT * width, ROOM.beside + Math.ceil(widest));
  }

  drawLane(pen, label, bottom, tall, left, width) {
    pen.fillStyle = color("muted");
    pen.textAlign = "right";
    pen.fillText(label, left - ROOM.beside, bottom - tall / 2, left - ROOM.beside);
    pen.strokeStyle = color("faint");
    pen.lineWidth = 1;
    line(pen, left, bottom + 0.5, width, bottom + 0.5);
    pen.setLineDash([2, 4]);
    line(pen, left, bottom - tall * this.model.threshold, width, bottom - tall * this.model.threshold);
    pen.setLineDash([]);
  }

  /** How much of the time each label took, in words: "happy 62%, uncertain 8%". */
  shares(person) {
    const points = this.people.get(person) ?? [];
    const counts = new Map();
    for (const point of points) {
      const { label } = prediction(point, this.model);
      counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    const ordered = [...counts].sort((one, other) => other[1] - one[1]);
    return ordered.map(([label, count]) => `${label} ${percent(count / points.length)}`).join(", ");
  }
}

/** Points in runs without a gap. */
function unbroken(points) {
  const runs = [];
  for (const point of points) {
    const run = runs.at(-1);
    if (run && point.seconds - run.at(-1).seconds < GAP_SECONDS) run.push(point);
    else runs.push([point]);
  }
  return runs;
}

function drawArea(pen, run, label, x, bottom, tall, left) {
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, pen.canvas.width, pen.canvas.height);
  pen.clip();
  pen.beginPath();
  pen.moveTo(x(run[0].seconds), bottom);
  for (const { seconds, probabilities } of run) pen.lineTo(x(seconds), bottom - tall * probabilities[label]);
  pen.lineTo(x(run.at(-1).seconds), bottom);
  pen.fill();
  pen.restore();
}

function drawTimes(pen, left, width, height) {
  pen.fillStyle = color("muted");
  for (const [ago, align] of [[SECONDS, "left"], [SECONDS / 2, "center"], [0, "right"]]) {
    pen.textAlign = align;
    const at = width - (ago / SECONDS) * (width - left);
    pen.fillText(ago ? `${ago} s ago` : "now", at, height - ROOM.bottom / 2 + 2);
  }
}

function line(pen, fromX, fromY, toX, toY) {
  pen.beginPath();
  pen.moveTo(fromX, fromY);
  pen.lineTo(toX, toY);
  pen.stroke();
}
