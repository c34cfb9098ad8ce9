// A face upright and alone, a small grey square, as faces/align.py cuts it. Knows nothing about how faces are found.
// A transform is [a, b, c, d, e, f]: x' = a x + b y + c, y' = d x + e y + f.

import { clip } from "./numbers.js";
import { grey, meansOfBlocks, part, reduce, transform } from "./pillow.js";

const FINEST = 4; // pixels of the picture that a pixel of the crop is still wide after a large picture was reduced
const HAIR = 1e-9; // by which a pixel may be wider than one and still be one

/** Bring the marks of a face as near as a similarity can to a template, shares of the side; bytes (side * side). */
export function align(picture, face, { side, template, upright }) {
  const target = template.map(([x, y]) => [x * side, y * side]);
  const back = inverse(similarity(marks(face, template, upright), target));
  const { region, back: toRegion } = regionOf(picture, back, side);
  const finer = Math.max(1, Math.ceil(step(toRegion) - HAIR));
  const [a, b, c, d, e, f] = toRegion;
  const large = transform(region, side * finer, [a / finer, b / finer, c, d / finer, e / finer, f]);
  return meansOfBlocks(large, side * finer, finer);
}

/** Landmarks and the middles of the box's sides, which stands upright but for what a face leans beyond so many degrees. */
function marks({ box, landmarks }, template, upright) {
  const toTemplate = similarity(landmarks, template.slice(0, landmarks.length));
  const lean = Math.atan2(toTemplate[1], toTemplate[0]);
  const most = (upright * Math.PI) / 180;
  const turn = lean - clip(lean, -most, most);
  const [left, top, width, height] = box;
  const [x, y] = [left + width / 2, top + height / 2];
  const across = [(width / 2) * Math.cos(turn), (width / 2) * Math.sin(turn)];
  const down = [(-height / 2) * Math.sin(turn), (height / 2) * Math.cos(turn)];
  const place = ([dx, dy], sign) => [x + sign * dx, y + sign * dy];
  return [...landmarks, place(across, -1), place(across, 1), place(down, -1), place(down, 1)];
}

/** The similarity that brings points nearest to others by least squares: Umeyama 1991, in the plane in closed form. */
export function similarity(source, target) {
  const [fromX, fromY] = mean(source);
  const [toX, toY] = mean(target);
  let [along, across, spread] = [0, 0, 0];
  source.forEach(([x, y], i) => {
    const [mx, my, wx, wy] = [x - fromX, y - fromY, target[i][0] - toX, target[i][1] - toY];
    along += mx * wx + my * wy;
    across += mx * wy - my * wx;
    spread += mx * mx + my * my;
  });
  if (!(spread > 0)) throw new Error("no similarity: the points are all in one place");
  const [a, b] = [along / spread, across / spread];
  return [a, -b, toX - a * fromX + b * fromY, b, a, toY - b * fromX - a * fromY];
}

function mean(points) {
  const sum = points.reduce(([x, y], point) => [x + point[0], y + point[1]], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

function inverse([a, b, c, d, e, f]) {
  const size = a * e - b * d;
  const [ia, ib, id, ie] = [e / size, -b / size, -d / size, a / size];
  return [ia, ib, -(ia * c + ib * f), id, ie, -(id * c + ie * f)];
}

/** How many pixels of the picture a pixel of the crop is wide. */
function step([a, b, , d, e]) {
  return Math.sqrt(Math.abs(a * e - b * d));
}

const moved = ([a, b, c, d, e, f], x, y) => [a, b, c + x, d, e, f + y];

/** Lowest and highest x and y that the crop's corners come to. */
function reach([a, b, c, d, e, f], side) {
  const x = [c, a * side + c, b * side + c, a * side + b * side + c];
  const y = [f, d * side + f, e * side + f, d * side + e * side + f];
  return { low: [Math.min(...x), Math.min(...y)], high: [Math.max(...x), Math.max(...y)] };
}

/**
 * The part of a picture that a crop shows, in grey, and the transform from the crop to it. A large part is reduced
 * by a whole number first; the edges are repeated as far as the crop reaches out.
 */
function regionOf(picture, back, side) {
  const factor = Math.max(1, Math.floor(step(back) / FINEST));
  const size = [picture.width, picture.height];
  const corners = reach(back, side);
  const far = size.map(
    (length, i) =>
      Math.max(0, corners.low[i] - length - 2 * factor) + Math.min(0, corners.high[i] + 2 * factor),
  );
  const low = size.map((length, i) => clip(Math.floor(corners.low[i] - far[i]) - 2 * factor, 0, length - 1));
  const high = size.map((length, i) =>
    clip(Math.ceil(corners.high[i] - far[i]) + 2 * factor, low[i] + 1, length),
  );
  const small = reduce(grey(part(picture, low[0], low[1], high[0] - low[0], high[1] - low[1])), factor);
  const within = moved(back, -far[0] - low[0], -far[1] - low[1]).map((value) => value / factor);
  const bounds = reach(within, side);
  const before = bounds.low.map((value) => Math.max(0, Math.ceil(2 - value)));
  const after = [small.width, small.height].map((length, i) => Math.max(0, Math.ceil(bounds.high[i] + 2 - length)));
  return { region: padded(small, before, after), back: moved(within, ...before) };
}

/** A grey raster with its edge pixels repeated. */
function padded({ data, width, height }, before, after) {
  const across = before[0] + width + after[0];
  const down = before[1] + height + after[1];
  const out = new Uint8Array(across * down);
  for (let y = 0; y < down; y++) {
    const row = clip(y - before[1], 0, height - 1) * width;
    for (let x = 0; x < across; x++) out[y * across + x] = data[row + clip(x - before[0], 0, width - 1)];
  }
  return { data: out, width: across, height: down, stride: 1 };
}
