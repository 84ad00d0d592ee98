import type { ModelFile } from "./model_file";
import type { Answers, Classification, Device, Model, Reply, Task } from "./protocol";
import { Refusal } from "./refusal";

interface Waiting {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/** The worker as the page sees it: models and photos in, what comes out back. */
export class Classifier {
  private readonly worker = new Worker("worker.js");
  private readonly waiting = new Map<number, Waiting>();
  private requests = 0;

  constructor(private readonly device: Device) {
    this.worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => {
      const waiting = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ("value" in data) waiting?.resolve(data.value as never);
      else if (data.isRefusal) waiting?.reject(new Refusal(data.error));
      else waiting?.reject(new Error(data.error));
    });
    this.worker.addEventListener("error", (event) => {
      this.reject(event.message || "its script cannot be loaded");
    });
  }

  /** @throws Refusal if it is no model, or none that runs here. */
  load(model: Model): Promise<ModelFile> {
    return this.ask({ kind: "load", model, device: this.device });
  }

  /** @throws Refusal if it is no photo. */
  classify(photo: Blob): Promise<Classification> {
    return this.ask({ kind: "classify", photo });
  }

  /** Ends the worker with all its memory. */
  stop(): void {
    this.worker.terminate();
    this.reject("it was ended");
  }

  private reject(reason: string): void {
    for (const { reject } of this.waiting.values()) {
      reject(new Error(`The page's worker has stopped: ${reason}.`));
    }
    this.waiting.clear();
  }

  private ask<K extends Task["kind"]>(task: Extract<Task, { kind: K }>): Promise<Answers[K]> {
    const id = this.requests++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ ...task, id });
    });
  }
}
