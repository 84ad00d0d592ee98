import { Refusal } from "./refusal";

/**
 * Reads colours that are not multiplied with their transparency.
 *
 * A canvas keeps colours multiplied, so those under transparent pixels are lost there; a texture
 * keeps them.
 */
export class StraightPixels {
  private readonly gl: WebGL2RenderingContext;

  /** @throws Refusal if there is no WebGL or the photo is too large for it. */
  constructor(private readonly bitmap: ImageBitmap) {
    const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
    if (gl === null) {
      throw new Refusal(
        "The photo is transparent in parts, and without WebGL this browser does not give the " +
          "colours there. Save it without transparency.",
      );
    }
    this.gl = gl;
    const largest = Number(gl.getParameter(gl.MAX_TEXTURE_SIZE));
    if (bitmap.width > largest || bitmap.height > largest) {
      throw new Refusal(
        `The photo is transparent in parts and ${bitmap.width} x ${bitmap.height} pixels large. ` +
          `Transparent photos may have up to ${largest} pixels a side here.`,
      );
    }
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    const texture = gl.getParameter(gl.TEXTURE_BINDING_2D) as WebGLTexture;
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  }

  /** Returns rows of RGBA pixels. */
  rows(top: number, count: number): Uint8ClampedArray {
    const { gl } = this;
    const { width } = this.bitmap;
    const pixels = new Uint8ClampedArray(4 * width * count);
    gl.readPixels(0, top, width, count, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return pixels;
  }

  /** Frees the texture. */
  close(): void {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
