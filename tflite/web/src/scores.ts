import { Refusal } from "./refusal";

/** A class that a model names for an image. */
export interface Prediction {
  label: string;
  probability: number;
}

/**
 * Returns the probabilities in an output: the softmax of logits, and probabilities as they are.
 *
 * @param name The output's name in the file. Another one than "probabilities" or "logits" says
 *   nothing; then values that are a distribution are taken for one.
 * @throws Refusal if there are values that are no numbers.
 */
export function probabilities(outputs: Float32Array, name: string): number[] {
  const values = Array.from(outputs);
  if (!values.every(Number.isFinite)) {
    throw new Refusal("The model gave values that are no numbers.");
  }
  if (name === "probabilities" || (name !== "logits" && isDistribution(values))) return values;
  const largest = values.reduce((a, b) => Math.max(a, b));
  const exponentials = values.map((value) => Math.exp(value - largest));
  const total = sum(exponentials);
  return exponentials.map((value) => value / total);
}

/** Returns the most probable classes, the best first; equal ones in the order of the outputs. */
export function best(values: number[], labels: string[] | null, count: number): Prediction[] {
  // Names that do not fit would be wrong names.
  const names = labels?.length === values.length ? labels : null;
  return values
    .map((probability, index) => ({ label: names?.[index] ?? `class ${index}`, probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, count);
}

function isDistribution(values: number[]): boolean {
  return values.every((value) => value >= 0) && Math.abs(sum(values) - 1) <= 1e-3;
}

function sum(values: number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
