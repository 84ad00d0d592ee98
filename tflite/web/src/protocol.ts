import type { ModelFile } from "./model_file";

/** What models run on. */
export type Device = "cpu" | "gpu";

/** A model to choose: a file that the server offers, by its address, or one of the user's. */
export interface Model {
  name: string;
  source: string | Blob;
}

/** Where a model ran. */
export type Place =
  | { device: "cpu"; threads: number; wanted: Device }
  | { device: "gpu"; name: string; isWhole: boolean };

/** What came out for a photo. */
export interface Classification {
  /** The model's outputs as they are. */
  outputs: Float32Array;
  /** Median over the runs, without decoding and resizing. */
  milliseconds: number;
  runs: number;
  place: Place;
}

/** What the page asks of its worker. */
export type Task =
  | { kind: "load"; model: Model; device: Device }
  | { kind: "classify"; photo: Blob };

/** What the worker answers to the two kinds of task. */
export interface Answers {
  load: ModelFile;
  classify: Classification;
}

export type Request = Task & { id: number };

/** An error is a message in words; `isRefusal` says that the user can do something about it. */
export type Reply =
  | { id: number; value: Answers[keyof Answers] }
  | { id: number; error: string; isRefusal: boolean };
