import { attachedFile } from "./attached_files";
import { Table } from "./flatbuffer";
import { Refusal } from "./refusal";

/** What a .tflite file says of itself. */
export interface ModelFile {
  /** Name of the model in its metadata. */
  name: string | null;
  height: number;
  width: number;
  /** 3 for RGB, 1 for grey. */
  channels: number;
  input: "float32" | "uint8";
  /**
   * What is done to pixels in [0, 255] for a float32 input: (pixel - mean) / deviation, with one
   * number for each channel. Null if the file does not say, or its input is uint8.
   */
  normalization: { mean: number[]; deviation: number[] } | null;
  /** Name of the output: "probabilities" or "logits", or what its author chose. */
  output: string;
  classes: number;
  /** Names of the classes, or null. */
  labels: string[] | null;
}

// Fields and values by their places in the tables of the schemas of TensorFlow Lite's models and
// metadata.
const MODEL = { subgraphs: 2, buffers: 4, metadata: 6, signatures: 7 };
const BUFFER = { data: 0, offset: 1, size: 2 };
const ENTRY = { name: 0, buffer: 1 };
const SUBGRAPH = { tensors: 0, inputs: 1, outputs: 2 };
const TENSOR = { shape: 0, type: 1, name: 3, openShape: 7 };
const SIGNATURE = { outputs: 1, name: 0 };
const TYPES: Record<number, string> = {
  0: "float32",
  1: "float16",
  2: "int32",
  3: "uint8",
  4: "int64",
  7: "int16",
  9: "int8",
};
const METADATA = { name: 0, subgraphs: 3 };
const METADATA_SUBGRAPH = { inputs: 2, outputs: 3 };
const METADATA_TENSOR = { units: 4, files: 6 };
const UNIT = { kind: 0, options: 1, normalization: 1 };
const NORMALIZATION = { mean: 0, deviation: 1 };
const FILE = { name: 0, kind: 2, axisLabels: 2 };

/**
 * Reads what a .tflite file takes and gives.
 *
 * @throws Refusal if it is none or does not classify images.
 */
export function readModelFile(bytes: Uint8Array): ModelFile {
  if (new TextDecoder("latin1").decode(bytes.subarray(4, 8)) !== "TFL3") {
    throw new Refusal("It is not a .tflite model.");
  }
  try {
    return read(bytes);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal("The .tflite file is damaged.", { cause: error });
  }
}

function read(bytes: Uint8Array): ModelFile {
  const model = Table.root(bytes);
  const graph = present(model.tables(MODEL.subgraphs)[0]);
  const tensors = graph.tables(SUBGRAPH.tensors);
  const [inputs, outputs] = [SUBGRAPH.inputs, SUBGRAPH.outputs].map((field) =>
    graph.integers(field).map((index) => present(tensors[index])),
  ) as [Table[], Table[]];
  const [image] = inputs;
  const [scores] = outputs;
  if (inputs.length !== 1 || outputs.length !== 1 || image === undefined || scores === undefined) {
    throw new Refusal(
      "The model must take one image and give one list of scores. It has " +
        `${inputs.length} inputs and ${outputs.length} outputs.`,
    );
  }
  return { ...readImage(image), ...readScores(scores, model), ...readMetadata(bytes, model) };
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new RangeError("a table is missing");
  return value;
}

function readImage(tensor: Table): Pick<ModelFile, "height" | "width" | "channels" | "input"> {
  const shape = shapeOf(tensor);
  const input = typeOf(tensor);
  if (shape[0] === -1) {
    throw new Refusal(
      "The model leaves open how many images it takes at once, which LiteRT.js does not run. " +
        "Convert it with --batch 1.",
    );
  }
  const [batch, height = 0, width = 0, channels = 0] = shape;
  const isImage = shape.length === 4 && height > 0 && width > 0 && [1, 3].includes(channels);
  if (!isImage || batch !== 1) {
    throw new Refusal(
      "The model must take one RGB or grey image, 1 x height x width x channels. " +
        `It takes ${inWords(shape)}.`,
    );
  }
  if (input !== "float32" && input !== "uint8") {
    throw new Refusal(`The model must take float32 or uint8 images. It takes ${input}.`);
  }
  return { height, width, channels, input };
}

function readScores(tensor: Table, model: Table): Pick<ModelFile, "output" | "classes"> {
  const shape = shapeOf(tensor);
  const type = typeOf(tensor);
  const [batch, classes = 0] = shape;
  if (shape.length !== 2 || batch !== 1 || classes < 2) {
    throw new Refusal(
      "The model must be a classifier, with an output of 1 x classes. " +
        `It gives ${inWords(shape)}.`,
    );
  }
  if (type !== "float32") {
    throw new Refusal(`The model must give float32 scores. It gives ${type}.`);
  }
  const output = model.tables(MODEL.signatures)[0]?.tables(SIGNATURE.outputs)[0];
  return { output: output?.text(SIGNATURE.name) ?? tensor.text(TENSOR.name) ?? "", classes };
}

/** Returns a tensor's shape, with -1 where it is open. */
function shapeOf(tensor: Table): number[] {
  const open = tensor.integers(TENSOR.openShape);
  return open.length > 0 ? open : tensor.integers(TENSOR.shape);
}

function inWords(shape: number[]): string {
  return shape.map((size) => (size === -1 ? "any" : size)).join(" x ");
}

function typeOf(tensor: Table): string {
  const type = tensor.byte(TENSOR.type);
  return TYPES[type] ?? `type ${type}`;
}

function readMetadata(
  bytes: Uint8Array,
  model: Table,
): Pick<ModelFile, "name" | "normalization" | "labels"> {
  const root = metadata(bytes, model);
  const graph = root?.tables(METADATA.subgraphs)[0];
  const image = graph?.tables(METADATA_SUBGRAPH.inputs)[0];
  const classes = graph?.tables(METADATA_SUBGRAPH.outputs)[0];
  const unit = image
    ?.tables(METADATA_TENSOR.units)
    .find((table) => table.byte(UNIT.kind) === UNIT.normalization)
    ?.table(UNIT.options);
  const file = classes
    ?.tables(METADATA_TENSOR.files)
    .find((table) => table.byte(FILE.kind) === FILE.axisLabels)
    ?.text(FILE.name);
  const labels = attachedFile(bytes, file ?? "labels.txt");
  const mean = unit?.floats(NORMALIZATION.mean) ?? [];
  const deviation = unit?.floats(NORMALIZATION.deviation) ?? [];
  return {
    name: root?.text(METADATA.name) ?? null,
    normalization: mean.length > 0 && deviation.length > 0 ? { mean, deviation } : null,
    labels: labels === null ? null : labels.replace(/\r?\n$/, "").split(/\r?\n/),
  };
}

function metadata(bytes: Uint8Array, model: Table): Table | null {
  const entry = model
    .tables(MODEL.metadata)
    .find((table) => table.text(ENTRY.name) === "TFLITE_METADATA");
  const buffer = entry && model.tables(MODEL.buffers)[entry.number(ENTRY.buffer)];
  if (!buffer) return null;
  // Quantisers put buffers behind the flatbuffer and note where.
  const offset = buffer.long(BUFFER.offset);
  const content =
    offset > 1
      ? bytes.subarray(offset, offset + buffer.long(BUFFER.size))
      : buffer.bytes(BUFFER.data);
  return content && Table.root(content);
}
