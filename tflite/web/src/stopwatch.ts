const RUNS = 5;
const LONGEST = 2000; // milliseconds

/** How long something takes. */
export interface Timing<T> {
  /** What it returned. */
  value: T;
  /** Median over the runs. */
  milliseconds: number;
  runs: number;
}

/** Runs something once to warm it up, then up to five times or two seconds, and times it. */
export async function time<T>(run: () => Promise<T>): Promise<Timing<T>> {
  const value = await run();
  const times: number[] = [];
  const start = performance.now();
  do {
    const begin = performance.now();
    await run();
    times.push(performance.now() - begin);
  } while (times.length < RUNS && performance.now() - start < LONGEST);
  return { value, milliseconds: median(times), runs: times.length };
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return (sorted[middle - 1]! + sorted[middle]!) / 2;
}
