import type { ModelFile } from "./model_file";

/** An image as LiteRT takes it. */
export type ImageTensor = Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/**
 * Returns an image as a model takes it.
 *
 * @param pixels (height, width, 3) RGB pixels.
 */
export function toTensor(pixels: Uint8ClampedArray, model: ModelFile): ImageTensor {
  const values = model.channels === 1 ? grey(pixels) : pixels;
  if (model.input === "uint8") return Uint8Array.from(values);
  // Without a word in the file, pixels as they are.
  const { mean, deviation } = model.normalization ?? { mean: [0], deviation: [1] };
  return Float32Array.from(values, (value, index) => {
    const channel = index % model.channels;
    return (value - at(mean, channel)) / at(deviation, channel);
  });
}

/** Returns a channel's number; the last one stands for all that follow. */
function at(numbers: number[], channel: number): number {
  return numbers[Math.min(channel, numbers.length - 1)] ?? NaN;
}

/** Returns the luma of RGB pixels, rounded as Pillow does. */
function grey(pixels: Uint8ClampedArray): Uint8Array {
  return Uint8Array.from({ length: pixels.length / 3 }, (_, index) => {
    const [red = 0, green = 0, blue = 0] = pixels.subarray(3 * index, 3 * index + 3);
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
  });
}
