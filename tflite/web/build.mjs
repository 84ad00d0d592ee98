// Puts the page together in build/: two scripts, LiteRT's WebAssembly, the static files.
import { cp, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const target = `${here}build/`;
await rm(target, { recursive: true, force: true });
await mkdir(target);

const common = {
  absWorkingDir: here,
  outdir: target,
  bundle: true,
  minify: true,
  sourcemap: true,
  target: "es2022",
};
await build({ ...common, entryPoints: ["src/page.ts"], format: "esm" });
// Not a module: LiteRT loads its WebAssembly with importScripts().
await build({ ...common, entryPoints: ["src/worker.ts"], format: "iife" });

await cp(`${here}node_modules/@litertjs/core/wasm`, `${target}wasm`, { recursive: true });
// index.html comes last: where it is, all is.
for (const name of ["style.css", "icon.svg", "index.html"]) {
  await cp(`${here}src/${name}`, `${target}${name}`);
}
