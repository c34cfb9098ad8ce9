/// <reference lib="dom" />

/** Bytes of an image, row after row from its top left: grey, RGB or RGBA, as their number says. */
export interface RawImage {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
}

/** Node takes RawImage alone. */
export type ImageInput = Blob | ImageBitmap | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas | HTMLVideoElement | ImageData | RawImage;

/** A face in an image and how people would label its expression, not what is felt. Places are in pixels of the image. */
export interface Face {
  /** Left, top, width, height. */
  box: [number, number, number, number];
  /** How certain the detector is that it is a face, 0..1. */
  score: number;
  /** Right eye, left eye, nose, right and left corner of the mouth, of the person. */
  landmarks: [[number, number], [number, number], [number, number], [number, number], [number, number]];
  /** The most probable class, or "uncertain" where its probability is below the threshold. */
  label: string;
  /** The most probable class, certain or not. */
  best: string;
  /** The probability of the most probable class, 0..1. */
  confidence: number;
  certain: boolean;
  /** By class; they sum to 1. */
  probabilities: Record<string, number>;
  /** What the network saw, grey bytes, `side` x `side`. */
  crop: Uint8Array;
}

export interface LoadOptions {
  /** The address of a model's description, relative to `baseUrl`: "models/model.json", or `/v1/model` of a `mien serve`. */
  model?: string | URL;
  /** Where the package's folder lies; by default beside this module. With a bundler: where you have copied it to. */
  baseUrl?: string | URL;
  /** Below this highest probability a label is "uncertain", 0..1; by default the model's own. */
  threshold?: number;
  /** Threads of WebAssembly; more than 1 has an effect on pages that are cross-origin isolated alone. */
  threads?: number;
}

/** Detects faces and classifies their expressions, one image at a time; calls wait for each other. */
export class Recognizer {
  private constructor();

  /** Fetch the networks and start them. */
  static load(options?: LoadOptions): Promise<Recognizer>;

  /** The faces in an image, the largest first; none is an empty list. Rejects with PictureError, or TypeError for no image. */
  predict(image: ImageInput): Promise<Face[]>;

  /** How much hiding each place of a face's crop lowers the probability of its best class, `side` x `side` numbers. */
  explain(face: Face): Promise<Float32Array>;

  /** Give the memory of the networks back. */
  release(): Promise<void>;

  readonly name: string;
  readonly labels: string[];
  readonly side: number;
  readonly threshold: number;
  /** The model card, Markdown: what it learned from, how accurate it is, what it must not be used for. */
  readonly card: string;
  readonly limits: string;
  readonly licence: string;
}

/** What is wrong with an image; the message is the reason alone. */
export class PictureError extends Error {}
