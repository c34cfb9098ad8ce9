// Shrinking, growing and turning of pictures to the very byte that Pillow gives, for the model learned from such.
// Knows nothing about faces. A raster is {data, width, height, stride}: stride values a pixel, of which the
// first three at most are used (RGBA of a canvas is read as RGB).

import { clip, rint } from "./numbers.js";

const BITS = 22; // of a weight in Pillow's whole-number arithmetic; sums stay below 2 ** 31
const HALF = 2 ** (BITS - 1);

const FILTERS = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bicubic: { support: 2, weight: bicubicWeight },
};

function bicubicWeight(x) {
  const a = -0.5;
  const away = Math.abs(x);
  if (away < 1) return ((a + 2) * away - (a + 3)) * away * away + 1;
  return away < 2 ? (((away - 5) * away + 8) * away - 4) * a : 0;
}

/** A canvas's ImageData as a raster; nothing is copied. */
export function raster(image) {
  return { data: image.data, width: image.width, height: image.height, stride: 4 };
}

/** Pillow's "L", ITU-R 601-2 luma: a raster of one value a pixel. */
export function grey({ data, width, height, stride }) {
  if (stride === 1) return { data, width, height, stride };
  const out = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < out.length; i++, at += stride) {
    out[i] = (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
  }
  return { data: out, width, height, stride: 1 };
}

/** The part of a raster that begins at (left, top); what lies outside the picture is black. */
export function part(from, left, top, width, height) {
  const { data, stride } = from;
  const out = new Uint8Array(width * height * stride);
  const first = Math.max(0, left);
  const last = Math.min(from.width, left + width);
  for (let y = Math.max(0, top); y < Math.min(from.height, top + height) && first < last; y++) {
    const row = data.subarray((y * from.width + first) * stride, (y * from.width + last) * stride);
    out.set(row, ((y - top) * width + first - left) * stride);
  }
  return { data: out, width, height, stride };
}

/** A raster left to right. */
export function mirrored({ data, width, height, stride }) {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [from, into] = [(y * width + x) * stride, (y * width + width - 1 - x) * stride];
      for (let band = 0; band < stride; band++) out[into + band] = data[from + band];
    }
  }
  return { data: out, width, height, stride };
}

/** Means over blocks of so many pixels, those at the right and bottom over what is left: Image.reduce. */
export function reduce(from, across, down = across) {
  const bands = Math.min(3, from.stride);
  const width = Math.ceil(from.width / across);
  const height = Math.ceil(from.height / down);
  const out = new Uint8Array(width * height * bands);
  const sums = new Uint32Array(width * bands);
  for (let y = 0; y < height; y++) {
    const rows = Math.min(down, from.height - y * down);
    sumRows(from, y * down, rows, across, sums, bands);
    for (let x = 0; x < width; x++) {
      const count = Math.min(across, from.width - x * across) * rows;
      const multiplier = Math.floor(2 ** 24 / count);
      const half = count >> 1;
      for (let band = 0; band < bands; band++) {
        const sum = sums[x * bands + band] + half;
        out[(y * width + x) * bands + band] = Math.floor((sum * multiplier) / 2 ** 24);
      }
    }
  }
  return { data: out, width, height, stride: bands };
}

function sumRows({ data, width, stride }, top, rows, across, sums, bands) {
  sums.fill(0);
  for (let y = top; y < top + rows; y++) {
    let at = y * width * stride;
    for (let x = 0, into = 0; x < width; into += bands) {
      for (const end = Math.min(width, x + across); x < end; x++, at += stride) {
        for (let band = 0; band < bands; band++) sums[into + band] += data[at + band];
      }
    }
  }
}

/** Image.resize(size, filter, reducing_gap=gap), in whole numbers, along x first. */
export function resize(from, width, height, filter, gap = Infinity) {
  const across = Math.floor(from.width / width / gap) || 1;
  const down = Math.floor(from.height / height / gap) || 1;
  const small = across > 1 || down > 1 ? reduce(from, across, down) : from;
  const columns = weights(small.width, from.width / across, width, FILTERS[filter]);
  const rows = weights(small.height, from.height / down, height, FILTERS[filter]);
  const wide = width === from.width / across && width === small.width ? small : resizeAcross(small, columns);
  return height === from.height / down && height === small.height ? wide : resizeDown(wide, rows);
}

/**
 * For each of `size` new places where its old ones begin, how many they are and what each weighs, in whole numbers;
 * `length` old ones are meant, of `inside` that are there.
 */
function weights(inside, length, size, { support, weight }) {
  const scale = length / size;
  const wide = Math.max(1, scale);
  const reach = support * wide;
  const most = 2 * Math.ceil(reach) + 1;
  const [first, count, kernel] = [size, size, size * most].map((length) => new Int32Array(length));
  for (let place = 0; place < size; place++) {
    const center = (place + 0.5) * scale;
    const begin = Math.max(0, Math.trunc(center - reach + 0.5));
    const last = Math.min(inside, Math.trunc(center + reach + 0.5));
    const shares = Array.from({ length: last - begin }, (_, i) => weight((i + begin - center + 0.5) * (1 / wide)));
    const total = shares.reduce((sum, value) => sum + value, 0);
    first[place] = begin;
    count[place] = last - begin;
    kernel.set(shares.map((value) => fixed(value / total)), place * most);
  }
  return { size, most, first, count, kernel };
}

const fixed = (share) => Math.trunc(share * 2 ** BITS + (share < 0 ? -0.5 : 0.5));

function resizeAcross({ data, width: from, height, stride }, { size, most, first, count, kernel }) {
  const bands = Math.min(3, stride);
  const out = new Uint8ClampedArray(size * height * bands);
  for (let y = 0, into = 0; y < height; y++) {
    for (let x = 0; x < size; x++) {
      const begin = (y * from + first[x]) * stride;
      for (let band = 0; band < bands; band++, into++) {
        let sum = HALF;
        for (let k = 0, at = begin + band; k < count[x]; k++, at += stride) sum += data[at] * kernel[x * most + k];
        out[into] = sum >> BITS;
      }
    }
  }
  return { data: out, width: size, height, stride: bands };
}

function resizeDown({ data, width, stride }, { size, most, first, count, kernel }) {
  const line = width * stride;
  const out = new Uint8ClampedArray(line * size);
  for (let y = 0, into = 0; y < size; y++) {
    for (let x = 0; x < line; x++, into++) {
      let sum = HALF;
      for (let k = 0, at = first[y] * line + x; k < count[y]; k++, at += line) sum += data[at] * kernel[y * most + k];
      out[into] = sum >> BITS;
    }
  }
  return { data: out, width, height: size, stride };
}

/** A square of a grey raster under an affine map (new -> old, [a, b, c, d, e, f]), bicubic, float32 (side * side). */
export function transform({ data, width, height }, side, [a, b, c, d, e, f]) {
  const out = new Float32Array(side * side);
  const [right, bottom] = [width - 1, height - 1];
  const rows = new Float64Array(4);
  for (let y = 0, into = 0; y < side; y++) {
    for (let x = 0; x < side; x++, into++) {
      const atX = a * (x + 0.5) + b * (y + 0.5) + c - 0.5;
      const atY = d * (x + 0.5) + e * (y + 0.5) + f - 0.5;
      const [left, top] = [Math.floor(atX), Math.floor(atY)];
      const x0 = clip(left - 1, 0, right);
      const x1 = clip(left, 0, right);
      const x2 = clip(left + 1, 0, right);
      const x3 = clip(left + 2, 0, right);
      for (let i = 0; i < 4; i++) {
        const at = clip(top + i - 1, 0, bottom) * width;
        rows[i] = cubic(data[at + x0], data[at + x1], data[at + x2], data[at + x3], atX - left);
      }
      out[into] = cubic(rows[0], rows[1], rows[2], rows[3], atY - top);
    }
  }
  return out;
}

/** Pillow's cubic between the second and the third of four values; steeper than that of its resize. */
function cubic(v1, v2, v3, v4, d) {
  return v2 + d * (v3 - v1 + d * (2 * (v1 - v2) + v3 - v4 + d * (v2 - v1 + v4 - v3)));
}

/** Means over whole blocks of a square of floats, rounded to bytes. */
export function meansOfBlocks(values, side, block) {
  const small = side / block;
  const out = new Uint8ClampedArray(small * small);
  for (let y = 0; y < small; y++) {
    for (let x = 0; x < small; x++) {
      let sum = 0;
      for (let i = 0; i < block; i++) {
        for (let j = 0; j < block; j++) sum += values[(y * block + i) * side + x * block + j];
      }
      out[y * small + x] = rint(Math.fround(sum / (block * block)));
    }
  }
  return new Uint8Array(out.buffer);
}
