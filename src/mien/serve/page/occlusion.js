// Where a network looks: hide a place, see the probability fall, as predict/occlusion.py has it. Knows no network.

import { rint } from "./numbers.js";

/**
 * How much hiding each place of a face, bytes (side * side), lowers a probability; float32 (side * side).
 * `probability` takes a list of faces and gives a list; `settings` is `explain` of /v1/model.
 */
export async function occlusion(face, side, probability, { across, steps, reach }) {
  const hide = rint(face.reduce((sum, value) => sum + value, 0) / face.length);
  const away = Array.from({ length: steps + 1 }, (_, n) =>
    Array.from({ length: side }, (_, pixel) => Math.abs(pixel + 0.5 - (n * side) / steps)),
  );
  const within = away.map((row) => row.map((value) => value < side / across / 2));
  const weights = away.map((row) => row.map((value) => Math.max(0, 1 - (value * steps) / side / reach)));
  const hidden = [];
  for (const rows of within) {
    for (const columns of within) {
      hidden.push(face.map((value, at) => (rows[Math.floor(at / side)] && columns[at % side] ? hide : value)));
    }
  }
  const [whole, ...rest] = await probability([face, ...hidden]);
  return meanFalls(rest.map((value) => whole - value), weights, side);
}

function meanFalls(falls, weights, side) {
  const out = new Float32Array(side * side);
  for (let at = 0; at < out.length; at++) {
    let [sum, total] = [0, 0];
    weights.forEach((rows, i) => {
      const row = rows[Math.floor(at / side)];
      if (!row) return;
      weights.forEach((columns, j) => {
        const weight = row * columns[at % side];
        sum += weight * falls[i * weights.length + j];
        total += weight;
      });
    });
    out[at] = sum / total;
  }
  return out;
}
