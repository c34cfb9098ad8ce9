// Images of any kind as the raster that the recognizer takes, or one sentence that says why not. Knows nothing about faces.

import { bitmapOf, checkSize, decode, pixels, PictureError } from "./lib/picture.js";
import { raster } from "./lib/pillow.js";

const KINDS = "a Blob or File, an ImageBitmap, an image, canvas or video element, ImageData, or {data, width, height}";
const CHANNELS = [1, 3, 4]; // grey, RGB, RGBA

export async function imageRaster(image) {
  if (image?.data && "width" in image) return rawRaster(image);
  if (typeof createImageBitmap === "undefined") {
    throw new TypeError("no image files are opened here; decode them and give {data, width, height}");
  }
  if (image instanceof Blob) return raster(await decode(image));
  if (image instanceof ImageBitmap) return raster(pixels(image));
  const bitmap = await elementBitmap(image);
  try {
    return raster(pixels(bitmap));
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
    throw new PictureError("an image of another site, whose pixels the browser gives to nobody; load it with CORS");
  } finally {
    bitmap.close();
  }
}

async function elementBitmap(element) {
  try {
    if (element?.decode) await element.decode();
    return await bitmapOf(element);
  } catch (error) {
    if (error instanceof TypeError) throw new TypeError(`an image must be ${KINDS}`);
    throw new PictureError("an image that is not loaded, or that this browser cannot open");
  }
}

/** Bytes of grey, RGB or RGBA, row after row; what is transparent is shown on white. */
function rawRaster({ data, width, height }) {
  if (!Number.isInteger(width) || !Number.isInteger(height)) throw new TypeError("width and height must be whole numbers");
  checkSize(width, height);
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw new TypeError("data must be a Uint8Array or Uint8ClampedArray");
  }
  const stride = data.length / (width * height);
  if (!CHANNELS.includes(stride)) {
    throw new PictureError(`${data.length} bytes are neither grey, RGB nor RGBA of ${width} x ${height} pixels`);
  }
  return { data: stride === 4 ? onWhite(data) : data, width, height, stride };
}

function onWhite(data) {
  let copy = data;
  for (let at = 0; at < data.length; at += 4) {
    const cover = data[at + 3];
    if (cover === 255) continue;
    if (copy === data) copy = new Uint8Array(data); // also of a Buffer, whose slice shares its bytes
    for (let band = at; band < at + 3; band++) copy[band] = Math.round((data[band] * cover) / 255 + 255 - cover);
  }
  return copy;
}
