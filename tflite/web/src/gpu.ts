/** Returns why models cannot run on the GPU here, in words, or null if they can. */
export async function whyNoGpu(): Promise<string | null> {
  if (navigator.gpu === undefined) {
    return self.isSecureContext
      ? "this browser has no WebGPU"
      : "browsers give WebGPU to https and localhost only";
  }
  try {
    const adapter = await navigator.gpu.requestAdapter();
    return adapter === null ? "the browser finds no GPU for WebGPU" : null;
  } catch (error) {
    return `WebGPU does not start: ${(error as Error).message}`;
  }
}
