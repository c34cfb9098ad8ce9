// Where the faces are in a picture: CenterFace, as faces/finder.py and faces/decode.py have it.
// Knows nothing about expressions, files or the page. A face is {box: [left, top, width, height], score,
// landmarks: [[x, y] x 5]} in the picture's pixels.

import { rint } from "./numbers.js";
import { mirrored, part, resize } from "./pillow.js";
import { enlargement, hints, joined, tiles } from "./small.js";

const STRIDE = 4; // pixels of the network's input that a cell of its outputs stands for
const MOST_CANDIDATES = 1000;
const OUTPUTS = ["537", "538", "539", "540"]; // heat, log scale, offset, landmarks
const REDUCING_GAP = 2;

export class Finder {
  /**
   * `run(pixels, height, width)` gives the network's four outputs by name; `settings` is `detector` of /v1/model, `small`
   * its `small_faces`.
   */
  constructor(run, settings, small) {
    Object.assign(this, { run, settings, small });
  }

  /** The faces in a raster, the largest box first; what is looked at, and when, is as in Python. */
  async find(picture, longSide = this.settings.long_side) {
    const { close_side: closeSide, close_border: border } = this.settings;
    const side = Math.min(Math.max(picture.width, picture.height), longSide);
    const candidates = side > closeSide ? await this.candidates(picture, side, 0) : [];
    let faces = await this.confirmed(picture, candidates);
    if (!faces.length) faces = await this.sure(picture, Math.min(longSide, closeSide), border);
    if (!faces.length && side > closeSide) faces = await this.inMirror(picture, side);
    if (side > closeSide) faces = await this.withSmall(picture, side, candidates, faces);
    return faces.sort(byArea);
  }

  /** Faces and those that an enlarged search adds, where a view of a size shows small ones. */
  async withSmall(picture, size, candidates, faces) {
    const { threshold, most_overlap: mostOverlap } = this.settings;
    const { few, small, small_in_larger: smallInLarger } = this.small;
    const longSide = Math.max(picture.width, picture.height);
    const places = hints(candidates, size / longSide, small);
    let [side, crowd] = [size, places.length >= few && hints(faces, size / longSide, 2 * small).length > 0];
    const unclear = places.length < few && (places.length || !faces.length);
    if (unclear && longSide >= this.small.worth_a_larger_view * side) {
      side = Math.min(2 * side, longSide);
      const larger = await this.candidates(picture, side, 0);
      crowd = await this.isCrowd(picture, hints(larger, side / longSide, smallInLarger));
      const sure = larger.filter(({ score }) => score > threshold);
      faces = faces.length ? joined(faces, sure, size / longSide, mostOverlap, this.small) : sure;
    }
    const times = enlargement(longSide, this.small);
    if (!crowd || side >= times * longSide) return faces;
    return joined(faces, await this.enlarged(picture, times), side / longSide, mostOverlap, this.small);
  }

  /** Whether there are several hints at small faces, the surest first, and one of them is a face. */
  async isCrowd(picture, places) {
    if (places.length < this.small.few) return false;
    for (const face of places.slice(0, this.settings.most_again)) {
      if (face.score > this.settings.threshold || (await this.again(picture, face))) return true;
    }
    return false;
  }

  /** The faces of a picture that is seen so many times as large, tile by tile. */
  async enlarged(picture, times) {
    const { threshold, most_again: mostAgain } = this.settings;
    const [faces, doubtful] = [[], []];
    for (const tile of tiles(picture, times, this.small)) {
      const only = part(picture, tile.left, tile.top, tile.width, tile.height);
      const candidates = await this.candidates(only, rint(times * Math.max(tile.width, tile.height)), 0);
      const own = candidates.map((face) => moved(face, tile.left, tile.top)).filter(tile.owns);
      faces.push(...own.filter(({ score }) => score > threshold));
      doubtful.push(...own.filter(({ score }) => score <= threshold).slice(0, mostAgain));
    }
    return faces.length < this.small.few ? faces : [...faces, ...(await this.seenAgain(picture, doubtful))];
  }

  /** The faces that are seen in the mirror picture, where they are in the picture. */
  async inMirror(picture, side) {
    const mirror = mirrored(picture);
    for (const size of this.settings.mirrored_sizes) {
      const faces = await this.sure(mirror, rint(size * side), 0);
      if (faces.length) return faces.map((face) => mirroredFace(face, picture.width, this.settings.mirrored_points));
    }
    return [];
  }

  /** What scores above the threshold or is doubtful, the surest first. */
  candidates(picture, side, border) {
    const { threshold, doubtful } = this.settings;
    return this.look(picture, side, border, Math.min(threshold, doubtful));
  }

  /** The faces that score above the threshold, and the doubtful ones that two more looks confirm. */
  async sure(picture, side, border) {
    return this.confirmed(picture, await this.candidates(picture, side, border));
  }

  async confirmed(picture, candidates) {
    const { threshold, most_again: mostAgain, most_overlap: mostOverlap } = this.settings;
    const sure = candidates.filter(({ score }) => score > threshold);
    const doubtful = candidates.filter(({ score }) => score <= threshold).slice(0, mostAgain);
    return distinct([...sure, ...(await this.seenAgain(picture, doubtful))], mostOverlap);
  }

  /** Those of some doubtful faces that two more looks confirm. */
  async seenAgain(picture, doubtful) {
    const faces = [];
    for (const face of doubtful) {
      const again = await this.again(picture, face);
      if (again) faces.push(again);
    }
    return faces;
  }

  /** A doubtful face as a second look sees it, alone and larger, where that and its mirror picture are sure enough. */
  async again(picture, { box, score }) {
    const settings = this.settings;
    const [left, top, across, down] = around(box, settings.again_around, picture);
    const scaled = (settings.again_side / (settings.again_around * Math.max(box[2], box[3]))) * Math.max(across, down);
    const side = Math.max(1, rint(scaled));
    const only = part(picture, left, top, across, down);
    const [x, y, width, height] = [box[0] - left, box[1] - top, box[2], box[3]];
    const second = await this.there(only, side, [x, y, width, height], 2 * settings.sure_of_two - score);
    if (!second) return undefined;
    const least = 3 * settings.sure_of_three - score - second.score;
    const third = await this.there(mirrored(only), side, mirroredBox([x, y, width, height], across), least);
    return third && { ...moved(second, left, top), score: (score + second.score + third.score) / 3 };
  }

  /** The face that a look at part of a picture sees where a box is. */
  async there(only, side, box, least) {
    const faces = await this.look(only, side, this.settings.again_border, Math.max(0, least));
    return faces.find((face) => overlap(box, face.box) > this.settings.most_overlap);
  }

  /** The faces that score above a threshold around a place where one with this box was a moment ago. */
  async near(picture, box, threshold) {
    const [left, top, across, down] = around(box, this.settings.near_room, picture);
    if (across < 2 || down < 2) return [];
    const faces = await this.look(part(picture, left, top, across, down), this.settings.near_side, 0, threshold);
    return faces.map((face) => moved(face, left, top)).sort(byArea);
  }

  /** What is seen when the long side has so many pixels and a border of black around it, the surest face first. */
  async look(picture, side, border, threshold) {
    const input = view(picture, side, border, this.settings);
    const outputs = await this.run(input.pixels, input.height, input.width);
    const candidates = decode(OUTPUTS.map((name) => outputs[name]), threshold);
    return distinct(candidates, this.settings.most_overlap)
      .map((face) => inPicture(face, input))
      .filter(({ box }) => middleInside(box, picture));
  }
}

/** Left, top, width and height of the part of a picture that shows a box and what lies around it. */
function around([boxLeft, boxTop, width, height], room, picture) {
  const reach = (room / 2) * Math.max(width, height);
  const [x, y] = [boxLeft + width / 2, boxTop + height / 2];
  const [left, top] = [Math.floor(Math.max(0, x - reach)), Math.floor(Math.max(0, y - reach))];
  const right = Math.ceil(Math.min(picture.width, x + reach));
  return [left, top, right - left, Math.ceil(Math.min(picture.height, y + reach)) - top];
}

const moved = ({ box, score, landmarks }, x, y) => ({
  box: [box[0] + x, box[1] + y, box[2], box[3]],
  score,
  landmarks: landmarks.map((point) => [point[0] + x, point[1] + y]),
});

const mirroredBox = ([left, top, width, height], across) => [across - left - width, top, width, height];

/** A face of a mirror picture as it is in the picture, or the other way around. */
const mirroredFace = ({ box, score, landmarks }, across, points) => ({
  box: mirroredBox(box, across),
  score,
  landmarks: points.map((n) => [across - landmarks[n][0], landmarks[n][1]]),
});

const byArea = (one, other) => area(other.box) - area(one.box);
const area = ([, , width, height]) => width * height;

/** A picture as the network sees it, float32 (3, height, width), and the way back to its own pixels. */
export function view(picture, side, border, { multiple, border_spared: spared }) {
  const factor = side / Math.max(picture.width, picture.height);
  const width = Math.max(1, rint(picture.width * factor));
  const height = Math.max(1, rint(picture.height * factor));
  let small = picture;
  if (factor < 1) small = resize(picture, width, height, "box", REDUCING_GAP);
  else if (factor > 1) small = resize(picture, width, height, "bicubic");
  const black = 2 * border - Math.min(border, spared);
  const across = Math.ceil((width + black) / multiple) * multiple;
  const down = Math.ceil((height + black) / multiple) * multiple;
  const pixels = new Float32Array(3 * down * across);
  for (let band = 0; band < 3; band++) {
    const from = Math.min(band, small.stride - 1);
    for (let y = 0; y < height; y++) {
      const into = (band * down + y + border) * across + border;
      for (let x = 0; x < width; x++) pixels[into + x] = small.data[(y * width + x) * small.stride + from];
    }
  }
  return { pixels, width: across, height: down, border, scale: [picture.width / width, picture.height / height] };
}

/** All cells whose heat is above a threshold, as faces in the view's pixels, best score first. */
function decode([heat, scale, offset, points], threshold) {
  const [rows, columns] = heat.dims.slice(-2);
  const cells = rows * columns;
  const hot = [];
  for (let cell = 0; cell < cells; cell++) if (heat.data[cell] > threshold) hot.push(cell);
  hot.sort((one, other) => heat.data[other] - heat.data[one]);
  return hot.slice(0, MOST_CANDIDATES).map((cell) => {
    const width = Math.exp(scale.data[cells + cell]) * STRIDE;
    const height = Math.exp(scale.data[cell]) * STRIDE;
    const left = ((cell % columns) + offset.data[cells + cell] + 0.5) * STRIDE - width / 2;
    const top = (Math.floor(cell / columns) + offset.data[cell] + 0.5) * STRIDE - height / 2;
    const landmarks = [0, 1, 2, 3, 4].map((n) => [
      points.data[(2 * n + 1) * cells + cell] * width + left,
      points.data[2 * n * cells + cell] * height + top,
    ]);
    return { box: [left, top, width, height], score: heat.data[cell], landmarks };
  });
}

/** The faces that stay when each takes those it overlaps out, first ones first. */
export function distinct(faces, mostOverlap) {
  const kept = [];
  for (const face of faces) {
    if (kept.every((other) => overlap(face.box, other.box) <= mostOverlap)) kept.push(face);
  }
  return kept;
}

/** Intersection over union of two boxes. */
export function overlap(one, other) {
  const across = Math.min(one[0] + one[2], other[0] + other[2]) - Math.max(one[0], other[0]);
  const down = Math.min(one[1] + one[3], other[1] + other[3]) - Math.max(one[1], other[1]);
  const shared = Math.max(across, 0) * Math.max(down, 0);
  return shared / (area(one) + area(other) - shared);
}

function inPicture({ box, score, landmarks }, { border, scale }) {
  const place = ([x, y]) => [(x - border) * scale[0], (y - border) * scale[1]];
  return {
    box: [...place(box), box[2] * scale[0], box[3] * scale[1]],
    score,
    landmarks: landmarks.map(place),
  };
}

function middleInside([left, top, width, height], picture) {
  const [x, y] = [left + width / 2, top + height / 2];
  return x >= 0 && x < picture.width && y >= 0 && y < picture.height;
}
