// A picture file becomes RGBA pixels, or one sentence that says why not. Knows nothing about faces.
// Upright by its EXIF orientation, the first frame, colors as they stand in the file, what is transparent on white:
// as pictures.py decodes.

const MOST_PIXELS = 64_000_000;
const LEAST_SIDE = 8;
const MOST_KEPT_PIXELS = 2_000_000;
const AS_IN_FILE = { imageOrientation: "from-image", colorSpaceConversion: "none" };

/** What was wrong with a picture, in words for its owner. */
export class PictureError extends Error {}

export async function decode(file) {
  if (!file.size) throw new PictureError("an empty file");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, AS_IN_FILE);
  } catch {
    throw new PictureError("not a picture that this browser can open, or a damaged one");
  }
  try {
    return pixels(bitmap);
  } finally {
    bitmap.close();
  }
}

/** The pixels of a bitmap, an ImageData. */
export function pixels(bitmap) {
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new PictureError(`${width} x ${height} pixels are more than 64 million`);
  if (Math.min(width, height) < LEAST_SIDE) {
    throw new PictureError(`${width} x ${height} pixels are too few for a face`);
  }
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
