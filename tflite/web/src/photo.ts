import { Refusal } from "./refusal";
import type { Photograph } from "./resample";
import { StraightPixels } from "./straight_pixels";

/**
 * A photograph from a file or from the camera.
 *
 * It is turned upright as the camera noted, its colours are those of sRGB, and its transparency
 * is dropped: the colours underneath are read, as keras_poolformer's `read_image` does.
 */
export class Photo implements Photograph {
  readonly width: number;
  readonly height: number;
  private readonly context: OffscreenCanvasRenderingContext2D;
  private straight: StraightPixels | null = null;

  private constructor(private readonly bitmap: ImageBitmap) {
    this.width = bitmap.width;
    this.height = bitmap.height;
    const canvas = new OffscreenCanvas(1, 1);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (context === null) throw new Refusal("This browser gives no canvas to read pixels with.");
    this.context = context;
  }

  /** @throws Refusal if the browser cannot read it. */
  static async decode(source: Blob): Promise<Photo> {
    let bitmap: ImageBitmap;
    try {
      bitmap = await createImageBitmap(source, {
        imageOrientation: "from-image",
        premultiplyAlpha: "none",
      });
    } catch (error) {
      throw new Refusal(
        "This browser cannot read it as a photo. It may be broken, or of a format that the " +
          "browser does not know; JPEG and PNG always work.",
        { cause: error },
      );
    }
    return new Photo(bitmap);
  }

  rows(top: number, count: number): Uint8ClampedArray {
    const { canvas } = this.context;
    canvas.width = this.width; // also clears it
    canvas.height = count;
    this.context.drawImage(this.bitmap, 0, top, this.width, count, 0, 0, this.width, count);
    const { data } = this.context.getImageData(0, 0, this.width, count);
    if (isOpaque(data)) return data;
    this.straight ??= new StraightPixels(this.bitmap);
    return this.straight.rows(top, count);
  }

  /** Frees the memory of its pixels. */
  close(): void {
    this.straight?.close();
    this.bitmap.close();
  }
}

function isOpaque(rgba: Uint8ClampedArray): boolean {
  for (let index = 3; index < rgba.length; index += 4) {
    if (rgba[index] !== 255) return false;
  }
  return true;
}
