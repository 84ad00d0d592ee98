// The page: what the user chooses goes to the worker, what comes back goes to the view.
import { Camera } from "./camera";
import { Classifier } from "./classifier";
import { onDroppedFile } from "./dropped";
import { whyNoGpu } from "./gpu";
import type { ModelFile } from "./model_file";
import type { Device, Model } from "./protocol";
import { Refusal } from "./refusal";
import { best, probabilities } from "./scores";
import { element, showError, showFacts, showResult, showStatus } from "./view";

const SHOWN = 5;

const models: Model[] = [];
let model: Model | null = null;
let device: Device = "cpu";
let photo: Blob | null = null;

let classifier: Classifier | null = null;
let loading: Promise<ModelFile> | null = null;
/** Counts the user's choices: an answer to an earlier one comes too late. */
let choices = 0;

async function choose(change: { model?: Model; device?: Device; photo?: Blob }): Promise<void> {
  const choice = ++choices;
  const isLate = () => choice !== choices;
  photo = change.photo ?? photo;
  if (change.model || change.device) {
    model = change.model ?? model;
    device = change.device ?? device;
    forget();
  }
  try {
    if (change.photo) {
      showStatus("Reading the photo …", true);
      await preview(change.photo);
      if (isLate()) return;
    }
    await classify(isLate);
  } catch (error) {
    if (!isLate()) fail(error as Error);
  }
}

async function classify(isLate: () => boolean): Promise<void> {
  if (model === null) return showStatus("Open a .tflite file to begin.");
  showStatus(`Loading ${model.name} …`, true);
  classifier ??= new Classifier(device);
  loading ??= load(classifier, model);
  const file = await loading;
  if (isLate()) return;
  showFacts(file);
  if (photo === null) return showStatus("Choose a photo.");
  showStatus("Looking at the photo …", true);
  const result = await named(photo, classifier.classify(photo));
  if (isLate()) return;
  const values = probabilities(result.outputs, file.output);
  showResult(best(values, file.labels, SHOWN), result);
}

async function load(worker: Classifier, chosen: Model): Promise<ModelFile> {
  try {
    return await named(chosen, worker.load(chosen));
  } catch (error) {
    // LiteRT's memory may be in disorder now.
    if (worker === classifier) forget();
    throw error;
  }
}

/** Says of what a refusal is, if it has a name. */
async function named<T>(source: Model | Blob, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof Refusal) || !("name" in source)) throw error;
    throw new Refusal(`${source.name}: ${error.message}`, { cause: error });
  }
}

/** Ends the worker, for another model or another device. */
function forget(): void {
  classifier?.stop();
  classifier = null;
  loading = null;
  showFacts(null);
}

function fail(error: Error): void {
  showStatus("");
  if (error instanceof Refusal) return showError(error.message);
  forget();
  console.error(error);
  showError(`Something went wrong. ${error.message}`);
}

async function preview(blob: Blob): Promise<void> {
  const image = element<HTMLImageElement>("preview");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
  // What the browser cannot show it cannot classify either; the error says so.
  const isShown = await image.decode().then(
    () => true,
    () => false,
  );
  image.alt = blob instanceof File ? `The photo ${blob.name}` : "The photo from the camera";
  image.hidden = !isShown;
  element("invitation").hidden = isShown;
}

function offer(added: Model): void {
  models.push(added);
  const list = element<HTMLSelectElement>("models");
  if (models.length === 1) list.replaceChildren();
  list.add(new Option(added.name, String(models.length - 1)));
  list.disabled = false;
}

function open(file: File): void {
  if (!file.name.endsWith(".tflite")) return void choose({ photo: file });
  const added = { name: file.name, source: file };
  offer(added);
  element<HTMLSelectElement>("models").value = String(models.length - 1);
  void choose({ model: added });
}

async function offerServed(): Promise<void> {
  const response = await fetch("models.json");
  if (!response.ok) return; // served as plain files: the user opens a model
  const served = (await response.json()) as { name: string; url: string }[];
  served.forEach(({ name, url }) => offer({ name, source: new URL(url, location.href).href }));
}

async function offerGpu(): Promise<void> {
  const reason = await whyNoGpu();
  element("gpu").textContent = reason === null ? "" : `Not on the GPU: ${reason}.`;
  document.querySelector<HTMLInputElement>("[value=gpu]")!.disabled = reason !== null;
}

function connectControls(): void {
  element("models").addEventListener("change", () => {
    const list = element<HTMLSelectElement>("models");
    void choose({ model: models[Number(list.value)]! });
  });
  for (const radio of document.querySelectorAll<HTMLInputElement>("[name=device]")) {
    radio.addEventListener("change", () => void choose({ device: radio.value as Device }));
  }
  for (const id of ["model-file", "photo-file"]) {
    const input = element<HTMLInputElement>(id);
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      input.value = ""; // so that the same file can be chosen again
      if (file) open(file);
    });
  }
  onDroppedFile(document.body, open);
}

function connectCamera(): void {
  const camera = new Camera(element<HTMLVideoElement>("video"));
  const show = (isOpen: boolean) => {
    for (const id of ["viewfinder", "take", "close"]) element(id).hidden = !isOpen;
    for (const id of ["drop", "photo-file", "choose", "camera"]) element(id).hidden = isOpen;
    element(isOpen ? "take" : "camera").focus();
  };
  element("camera").addEventListener("click", async () => {
    try {
      await camera.open();
      show(true);
    } catch (error) {
      fail(error as Error);
    }
  });
  const close = () => {
    camera.close();
    show(false);
  };
  element("take").addEventListener("click", async () => {
    const taken = await camera.take();
    close();
    await choose({ photo: taken });
  });
  element("close").addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !element("close").hidden) close();
  });
}

connectControls();
connectCamera();
void offerGpu();
try {
  await offerServed();
  await choose(models[0] ? { model: models[0] } : {});
} catch (error) {
  fail(error as Error);
}
