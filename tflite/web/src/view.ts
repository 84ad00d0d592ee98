import type { ModelFile } from "./model_file";
import type { Classification, Place } from "./protocol";
import type { Prediction } from "./scores";

/** Returns the element with an id. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** Says what the page is doing or waiting for; empties what it said before. */
export function showStatus(message: string, isBusy = false): void {
  element("status").textContent = message;
  element("result").setAttribute("aria-busy", String(isBusy));
  element("status").classList.toggle("busy", isBusy);
  element("predictions").replaceChildren();
  element("timing").textContent = "";
  showError(null);
}

/** Shows an error in words, or takes it away. */
export function showError(message: string | null): void {
  element("error").textContent = message;
  element("error").hidden = message === null;
  if (message !== null) bringIntoView();
}

/** Shows what a model takes and gives. */
export function showFacts(model: ModelFile | null): void {
  element("facts").textContent = model === null ? "" : facts(model);
}

function facts(model: ModelFile): string {
  const colour = model.channels === 3 ? "RGB" : "grey";
  const words = [
    `The middle of a photo as ${model.width} x ${model.height} ${colour} pixels (${model.input})`,
    `${model.classes} classes`,
  ];
  if (model.labels === null) words.push("without names");
  else if (model.labels.length !== model.classes) {
    words.push(`${model.labels.length} names, which do not fit and are not shown`);
  }
  if (model.input === "float32" && model.normalization === null) {
    words.push("pixels taken to be 0 to 255, since the file does not say");
  }
  return words.join(", ");
}

/** Shows the predictions as bars, and the time they took. */
export function showResult(predictions: Prediction[], classification: Classification): void {
  showStatus("");
  element("predictions").replaceChildren(...predictions.map(bar));
  const { milliseconds, runs, place } = classification;
  const count = runs === 1 ? "one run" : `the median of ${runs} runs`;
  element("timing").textContent =
    `${milliseconds.toPrecision(3)} ms on the ${inWords(place)}; ${count} after a first one, ` +
    "without decoding and resizing the photo";
  bringIntoView();
}

/** Phones show the settings, the photo or the result, not all of them. */
function bringIntoView(): void {
  element("result").scrollIntoView({ block: "nearest" });
}

function bar({ label, probability }: Prediction): HTMLLIElement {
  const item = document.createElement("li");
  const name = document.createElement("span");
  name.textContent = label;
  const share = document.createElement("data");
  share.value = String(probability);
  share.textContent = percent(probability);
  const track = document.createElement("div");
  track.className = "track";
  track.style.setProperty("--share", String(probability));
  item.append(name, share, track);
  return item;
}

function percent(probability: number): string {
  return `${(100 * probability).toFixed(1)} %`;
}

function inWords(place: Place): string {
  if (place.device === "gpu") {
    const name = place.name ? `GPU (${place.name})` : "GPU";
    return place.isWhole ? name : `${name} and in parts on the CPU`;
  }
  const threads = place.threads === 1 ? "1 thread" : `${place.threads} threads`;
  const reason = place.wanted === "gpu" ? ", since the GPU lacks some of its operations" : "";
  return `CPU with ${threads}${reason}`;
}
