// A picture file becomes RGBA pixels, or one sentence that says why not. Knows nothing about faces.
// Upright by its EXIF orientation, the first frame, colors as they stand in the file, what is transparent on white:
// as pictures.py decodes.

const MOST_PIXELS = 64_000_000;
const LEAST_SIDE = 8;
const MOST_KEPT_PIXELS = 2_000_000;
const ORIENTATION = 0x112; // of TIFF 6.0
const UNREADABLE = "a folder, or a file that cannot be read any more";
const AS_IN_FILE = { imageOrientation: "from-image", colorSpaceConversion: "none" };

/** What was wrong with a picture, in words for its owner. */
export class PictureError extends Error {}

export async function decode(file) {
  if (!file.size) throw new PictureError("an empty file");
  if (await turnedWebp(file)) throw new PictureError("a WebP that is turned by its EXIF data; save it as JPEG");
  let bitmap;
  try {
    bitmap = await bitmapOf(file);
  } catch {
    throw new PictureError("not a picture that this browser can open, or a damaged one");
  }
  try {
    return pixels(bitmap);
  } finally {
    bitmap.close();
  }
}

/** Whether a file is a WebP whose EXIF orientation turns it: browsers pass over that of this format alone. */
export async function turnedWebp(file) {
  const head = await bytes(file.slice(0, 12));
  if (head.byteLength < 12 || word(head, 0) !== "RIFF" || word(head, 8) !== "WEBP") return false;
  const view = await bytes(file);
  try {
    for (let at = 12; at + 8 <= view.byteLength; ) {
      const size = view.getUint32(at + 4, true);
      if (word(view, at) === "EXIF") return orientation(view, at + 8) > 1;
      at += 8 + size + (size & 1);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // cut short: the browser says so
  }
  return false;
}

async function bytes(blob) {
  try {
    return new DataView(await blob.arrayBuffer());
  } catch {
    throw new PictureError(UNREADABLE);
  }
}

/** The orientation that EXIF data tells, 1 where it tells none; RangeError where they end too soon. */
function orientation(view, start) {
  const tiff = start + (word(view, start) === "Exif" ? 6 : 0);
  const little = view.getUint16(tiff) === 0x4949;
  const first = tiff + view.getUint32(tiff + 4, little);
  for (let n = 0; n < view.getUint16(first, little); n++) {
    const entry = first + 2 + 12 * n;
    if (view.getUint16(entry, little) === ORIENTATION) return view.getUint16(entry + 8, little);
  }
  return 1;
}

function word(view, at) {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
}

/** What can be drawn, a file or an element, as a bitmap. */
export const bitmapOf = (source) => createImageBitmap(source, AS_IN_FILE);

/** Refuse an image that is too large, or too small for a face. */
export function checkSize(width, height) {
  if (width * height > MOST_PIXELS) throw new PictureError(`${width} x ${height} pixels are more than 64 million`);
  if (Math.min(width, height) < LEAST_SIDE) {
    throw new PictureError(`${width} x ${height} pixels are too few for a face`);
  }
}

/** The pixels of a bitmap, an ImageData. */
export function pixels(bitmap) {
  const { width, height } = bitmap;
  checkSize(width, height);
  const pen = canvas(width, height);
  pen.fillStyle = "white";
  pen.fillRect(0, 0, width, height);
  pen.drawImage(bitmap, 0, 0);
  return pen.getImageData(0, 0, width, height);
}

let kept; // for a camera's frames, which are all alike

function canvas(width, height) {
  if (kept?.canvas.width === width && kept?.canvas.height === height) return kept;
  const pen = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  kept = width * height <= MOST_KEPT_PIXELS ? pen : undefined;
  return pen;
}
