// Does the work beside the page, which stays responsive: loads one model, then reads photos.
import { type ModelFile, readModelFile } from "./model_file";
import { Photo } from "./photo";
import type { Classification, Device, Model, Reply, Request } from "./protocol";
import { Refusal } from "./refusal";
import { resample } from "./resample";
import { Runtime } from "./runtime";
import { time } from "./stopwatch";
import { type ImageTensor, toTensor } from "./tensor";

let loaded: { file: ModelFile; runtime: Runtime } | null = null;

async function load(model: Model, device: Device): Promise<ModelFile> {
  const bytes = await read(model);
  const file = readModelFile(bytes);
  loaded = { file, runtime: await Runtime.start(device, bytes) };
  return file;
}

async function read({ source }: Model): Promise<Uint8Array> {
  try {
    if (typeof source !== "string") return new Uint8Array(await source.arrayBuffer());
    const response = await fetch(source);
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new Refusal(`It cannot be read: ${(error as Error).message}.`, { cause: error });
  }
}

async function classify(source: Blob): Promise<Classification> {
  if (loaded === null) throw new Error("no model is loaded");
  const { file, runtime } = loaded;
  const photo = await Photo.decode(source);
  let input: ImageTensor;
  try {
    input = toTensor(resample(photo, file), file);
  } finally {
    photo.close();
  }
  const { value, ...timing } = await time(() => runtime.run(input));
  return { outputs: value, ...timing, place: runtime.place() };
}

function answer(request: Request): Promise<ModelFile | Classification> {
  if (request.kind === "load") return load(request.model, request.device);
  return classify(request.photo);
}

async function reply(request: Request): Promise<Reply> {
  try {
    return { id: request.id, value: await answer(request) };
  } catch (error) {
    console.warn(error);
    const message = error instanceof Error ? error.message : String(error);
    return { id: request.id, error: message, isRefusal: error instanceof Refusal };
  }
}

// One after the other: LiteRT does one thing at a time.
let last: Promise<void> = Promise.resolve();
self.addEventListener("message", ({ data }: MessageEvent<Request>) => {
  last = last.then(async () => self.postMessage(await reply(data)));
});
