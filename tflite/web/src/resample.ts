/** Rows of RGBA pixels, not premultiplied, from a photograph of any size. */
export interface Photograph {
  width: number;
  height: number;
  rows(top: number, count: number): Uint8ClampedArray;
}

interface Size {
  height: number;
  width: number;
}

/** Bits behind the point of a weight, as in Pillow for images of 8 bits. */
const PRECISION = 22;
/** Rows that are decoded at a time: the whole of a large photograph would fill the memory. */
const STRIP = 128;

/**
 * Resizes a photograph with Pillow's bicubic filter and cuts out its middle.
 *
 * Every pixel is that of keras_poolformer.EvaluationTransform: the short side becomes that of
 * the result, weights are rounded to the same fixed-point numbers, and what lies between the
 * horizontal and the vertical pass is rounded to 8 bits.
 *
 * @returns (height, width, 3) pixels.
 */
export function resample(photo: Photograph, target: Size): Uint8ClampedArray {
  const { rows, columns } = resizedSize(photo, target);
  const top = roundHalfToEven((rows - target.height) / 2);
  const left = roundHalfToEven((columns - target.width) / 2);
  const vertical = new Weights(photo.height, rows, top, target.height);
  const horizontal = new Weights(photo.width, columns, left, target.width);

  const stride = 3 * target.width;
  const first = vertical.first;
  const between = new Uint8ClampedArray((vertical.end - first) * stride);
  for (let begin = first; begin < vertical.end; begin += STRIP) {
    const count = Math.min(STRIP, vertical.end - begin);
    const strip = photo.rows(begin, count);
    for (let row = 0; row < count; row++) {
      const from = 4 * photo.width * row;
      const to = stride * (begin - first + row);
      for (let x = 0; x < target.width; x++) {
        for (let channel = 0; channel < 3; channel++) {
          between[to + 3 * x + channel] = horizontal.sum(strip, x, from + channel, 4);
        }
      }
    }
  }

  const result = new Uint8ClampedArray(target.height * stride);
  for (let y = 0; y < target.height; y++) {
    for (let x = 0; x < stride; x++) {
      result[stride * y + x] = vertical.sum(between, y, x - stride * first, stride);
    }
  }
  return result;
}

/** Returns the size of the whole photograph once it covers the target. */
function resizedSize(photo: Size, target: Size): { rows: number; columns: number } {
  if (target.height === target.width) {
    const short = Math.min(photo.height, photo.width);
    return {
      rows: Math.floor((target.height * photo.height) / short),
      columns: Math.floor((target.width * photo.width) / short),
    };
  }
  const scale = Math.min(photo.height / target.height, photo.width / target.width);
  return {
    rows: roundHalfToEven(photo.height / scale),
    columns: roundHalfToEven(photo.width / scale),
  };
}

/** As Python rounds. */
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The weights of the samples along one side, for `count` results from `start` on. */
class Weights {
  /** The first sample that is needed. */
  readonly first: number;
  /** The first sample behind those that are needed. */
  readonly end: number;
  private readonly starts: number[] = [];
  private readonly values: Int32Array[] = [];

  constructor(samples: number, resized: number, start: number, count: number) {
    const scale = samples / resized;
    const stretch = Math.max(scale, 1); // a smaller result averages over more samples
    const support = 2 * stretch;
    let first = samples;
    let end = 0;
    for (let index = start; index < start + count; index++) {
      const center = (index + 0.5) * scale;
      const from = Math.max(Math.trunc(center - support + 0.5), 0);
      const to = Math.min(Math.trunc(center + support + 0.5), samples);
      const raw: number[] = [];
      let total = 0;
      for (let sample = from; sample < to; sample++) {
        const weight = bicubic((sample - center + 0.5) * (1 / stretch));
        raw.push(weight);
        total += weight;
      }
      this.starts.push(from);
      this.values.push(Int32Array.from(raw, (weight) => fixedPoint(weight / total)));
      first = Math.min(first, from);
      end = Math.max(end, to);
    }
    this.first = first;
    this.end = end;
  }

  /** Returns the weighted sum for a result; sample i stands at `offset + i * step`. */
  sum(samples: Uint8ClampedArray, result: number, offset: number, step: number): number {
    const values = this.values[result]!;
    let at = offset + this.starts[result]! * step;
    let sum = 1 << (PRECISION - 1);
    for (let index = 0; index < values.length; index++) {
      sum += values[index]! * samples[at]!;
      at += step;
    }
    return sum >> PRECISION; // the clamped arrays cut it to 0 to 255
  }
}

function bicubic(x: number): number {
  const a = -0.5;
  const distance = Math.abs(x);
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * a;
  return 0;
}

function fixedPoint(weight: number): number {
  return Math.trunc(weight * 2 ** PRECISION + (weight < 0 ? -0.5 : 0.5));
}
