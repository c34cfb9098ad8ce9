// Faces followed from frame to frame of a camera, each person with a number and a steady answer, as video/follow.py
// follows them. Knows nothing about the page.
//
// A look at the whole frame takes as long as four near looks, each at the place of a known face, so it comes now and
// then, and at once where a face was lost. All landmarks come from near looks.

import { distinct } from "./finder.js";
import { Steady } from "./steady.js";

const FULL_SIDE = 320; // pixels of the frame's long side in a look at all of it

export class Follower {
  constructor(recognizer) {
    this.recognizer = recognizer;
    this.finder = recognizer.finder;
    this.settings = recognizer.model.follow;
    this.mostOverlap = recognizer.model.detector.most_overlap;
    this.forget();
  }

  forget() {
    this.known = []; // {person, face, seconds, frame, steady, memory}: memory is what a model over time remembers
    this.people = this.frame = 0;
    this.looked = -Infinity;
    this.thumb = null;
  }

  /** The faces of a frame, a raster taken at `seconds`, by the number of the person, classified. */
  async follow(picture, seconds) {
    const people = await this.step(picture, seconds);
    for (const { memory } of people) memory.gap = seconds - (memory.seconds ?? seconds);
    const [faces, memories] = ["face", "memory"].map((name) => people.map((one) => one[name]));
    const classified = await this.recognizer.classify(picture, faces, memories);
    return classified.map((face, i) => {
      const { person, steady, memory } = people[i];
      memory.seconds = seconds;
      return { ...face, ...steady.add(seconds, face.probabilities), person };
    });
  }

  /** The people in a frame as {person, face, steady, memory}, by number. */
  async step(picture, seconds) {
    if (this.cut(picture)) [this.known, this.looked] = [[], -Infinity];
    const followed = this.known.filter(({ frame }) => frame === this.frame);
    this.frame++;
    let faces = [];
    for (const { face } of followed) faces.push(...(await this.near(picture, face)));
    faces = distinct(faces, this.mostOverlap);
    if (faces.length < followed.length || seconds - this.looked >= this.settings.full_every_seconds) {
      faces = distinct([...faces, ...(await this.newFaces(picture, faces))], this.mostOverlap);
      this.looked = seconds;
    }
    const gap = (one) => seconds - one.seconds;
    this.known = this.known.filter((one) => followed.includes(one) || gap(one) <= this.settings.gap_seconds);
    this.number(faces, seconds);
    return this.known.filter(({ frame }) => frame === this.frame).sort((one, other) => one.person - other.person);
  }

  /** Whether a frame shows something else than the one before: hardly a place is as light, next to the others. */
  cut(picture) {
    const { flat, cut_below: cutBelow } = this.settings;
    const [before, thumb] = [this.thumb, thumbOf(picture, this.settings.thumb)];
    this.thumb = thumb;
    if (!before || spread(before) < flat || spread(thumb) < flat) return false;
    const alike = before.reduce((sum, value, i) => sum + value * thumb[i], 0) / thumb.length;
    return alike < cutBelow * spread(before) * spread(thumb);
  }

  near(picture, { box }) {
    return this.finder.near(picture, box, this.settings.kept_score);
  }

  /** The faces of a full look that are not known, as a near look sees them where it does. */
  async newFaces(picture, known) {
    const found = await this.finder.find(picture, FULL_SIDE);
    const unknown = distinct([...known, ...found], this.mostOverlap).slice(known.length);
    const faces = [];
    for (const face of unknown) {
      const seen = await this.near(picture, face);
      faces.push(seen.sort((one, other) => way(face, one) - way(face, other))[0] ?? face);
    }
    return faces;
  }

  /** Give each face the number of the known person that is nearest, or a new one. */
  number(faces, seconds) {
    const { most_moved: mostMoved, moved_a_second: movedASecond, most_grown: mostGrown } = this.settings;
    const pairs = [];
    for (const known of this.known) {
      for (const face of faces) {
        const moved = way(known.face, face);
        const grown = size(face) / size(known.face);
        const most = mostMoved + movedASecond * (seconds - known.seconds);
        if (moved <= most && grown >= 1 / mostGrown && grown <= mostGrown) pairs.push({ moved, known, face });
      }
    }
    const taken = new Set();
    for (const { known, face } of pairs.sort((one, other) => one.moved - other.moved)) {
      if (taken.has(known) || taken.has(face)) continue;
      taken.add(known).add(face);
      Object.assign(known, { face, seconds, frame: this.frame });
    }
    for (const face of faces.filter((one) => !taken.has(one))) {
      const [steady, memory] = [new Steady(this.recognizer.model), {}];
      this.known.push({ person: ++this.people, face, seconds, frame: this.frame, steady, memory });
    }
  }
}

/** Green levels at so many places along each side, less their mean. */
function thumbOf({ data, width, height, stride }, places) {
  const levels = Array.from({ length: places * places }, (_, n) => {
    const x = Math.floor(((n % places) * width) / places);
    const y = Math.floor((Math.floor(n / places) * height) / places);
    return data[(y * width + x) * stride + 1];
  });
  const mean = levels.reduce((sum, value) => sum + value, 0) / levels.length;
  return levels.map((value) => value - mean);
}

const spread = (levels) => Math.sqrt(levels.reduce((sum, value) => sum + value * value, 0) / levels.length);
const size = ({ box }) => Math.sqrt(Math.max(box[2] * box[3], 1));

/** How far landmarks are apart on the mean, in sizes of the first face. */
function way(one, other) {
  const ways = one.landmarks.map(([x, y], i) => Math.hypot(other.landmarks[i][0] - x, other.landmarks[i][1] - y));
  return ways.reduce((sum, value) => sum + value, 0) / ways.length / size(one);
}
