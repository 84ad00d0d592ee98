import {
  type CompiledModel,
  loadAndCompile,
  loadLiteRt,
  supportsFeature,
  Tensor,
} from "@litertjs/core";
import type { Device, Place } from "./protocol";
import { Refusal } from "./refusal";
import type { ImageTensor } from "./tensor";

/** Where the build puts LiteRT's WebAssembly. */
const FOLDER = new URL("wasm/", self.location.href).href;

/** What LiteRT says before it lists the operations that it leaves to the CPU. */
const LEFT_OVER = "not supported by GPU delegate";

/**
 * LiteRT with a model, on one device.
 *
 * The CPU's WebAssembly has threads where the page is isolated (COOP and COEP headers). The GPU's
 * can wait for the GPU in mid-run (JSPI) where the browser can; without, LiteRT moves a model with
 * operations that the GPU lacks to the CPU as a whole.
 */
export class Runtime {
  private constructor(
    private readonly device: Device,
    private readonly gpu: string,
    private readonly model: CompiledModel,
    private readonly said: readonly string[],
  ) {}

  /**
   * Starts LiteRT with a model.
   *
   * @throws Refusal if the device or the model is not to LiteRT's liking.
   */
  static async start(device: Device, bytes: Uint8Array): Promise<Runtime> {
    const isIsolated = device === "cpu" && self.crossOriginIsolated;
    const threads = isIsolated && (await supportsFeature("threads"));
    const jspi = device === "gpu" && (await supportsFeature("jspi"));
    const said: string[] = [];
    Object.assign(self, {
      Module: {
        locateFile: (name: string) => FOLDER + name,
        // Its threads start from this script, not from the worker's.
        mainScriptUrlOrBlob: `${FOLDER}litert_wasm_threaded_internal.js`,
        printErr: (line: string) => {
          said.push(line);
          console.debug(line);
        },
      },
    });
    const liteRt = await loadLiteRt(FOLDER, { threads, jspi });
    const adapter = liteRt.getWebGpuDevice()?.adapterInfo;
    if (device === "gpu" && adapter === undefined) {
      throw new Refusal("The GPU gave no WebGPU device. Choose the CPU.");
    }
    try {
      const model = await loadAndCompile(bytes, {
        accelerator: device === "gpu" ? "webgpu" : "wasm",
        gpuOptions: { precision: "fp32" }, // what agrees with the CPU
      });
      return new Runtime(device, adapter ? describe(adapter) : "", model, said);
    } catch (error) {
      throw new Refusal(`LiteRT cannot load the model: ${reason(error)}`, { cause: error });
    }
  }

  /** Runs the model once: input copied in, output copied out. */
  async run(input: ImageTensor): Promise<Float32Array> {
    const image = new Tensor(input, this.model.getInputDetails()[0]!.shape);
    try {
      const outputs = await this.model.run(image);
      const values = await outputs[0]!.data();
      outputs.forEach((output) => output.delete());
      return values as Float32Array;
    } catch (error) {
      throw new Refusal(`LiteRT cannot run the model: ${reason(error)}`, { cause: error });
    } finally {
      image.delete();
    }
  }

  /** Where the model runs, which is not always where it was to run. */
  place(): Place {
    const { model } = this;
    if (model.options.accelerator === "webgpu") {
      // LiteRT counts what the CPU's own delegate takes as accelerated, too.
      const isWhole = model.isFullyAccelerated && !this.said.some((it) => it.includes(LEFT_OVER));
      return { device: "gpu", name: this.gpu, isWhole };
    }
    const threads = model.options.cpuOptions.numThreads ?? 1;
    return { device: "cpu", threads, wanted: this.device };
  }
}

function describe({ description, vendor, architecture }: GPUAdapterInfo): string {
  return description || [vendor, architecture].filter(Boolean).join(" ");
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
