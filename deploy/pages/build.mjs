// Makes the pages and the widget of services/gateway/pages into few small files, in its folder built/: `make pages`.
// A visitor gets one script, one style sheet and the words of one language.

import { build } from "esbuild";
import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";

const SOURCES = path.resolve(import.meta.dirname, "../../services/gateway/pages");
const BUILT = path.resolve(process.argv[2] ?? path.join(SOURCES, "built"));
const SCRIPTS = ["start.js", "login.js", "parley.js"];
const STYLES = ["pages.css", "conversation.css"];
const AS_THEY_ARE = ["index.html", "login.html", "icon.svg"];

/** The licences of the packages that went in, by name. */
async function licences(inputs) {
  const names = inputs.map((input) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1]).filter(Boolean);
  const texts = [...new Set(names)].sort().map(async (name) => {
    const folder = path.join(import.meta.dirname, "node_modules", name);
    const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each));
    const { version } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
    return `${name} ${version}\n\n${await readFile(path.join(folder, file), "utf8")}`;
  });
  return (await Promise.all(texts)).join("\n");
}

const words = (await readdir(path.join(SOURCES, "words"))).map((name) => `words/${name}`);
await rm(BUILT, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: SOURCES,
  outdir: BUILT,
  outbase: ".",
  entryPoints: [...SCRIPTS, ...STYLES, ...words],
  nodePaths: [path.join(import.meta.dirname, "node_modules")],
  bundle: true,
  external: ["./words/*"], // which language it is, only the browser knows
  format: "esm",
  minify: true,
  target: "es2022",
  legalComments: "none", // in licences.txt
  metafile: true,
  logLevel: "warning",
});
await writeFile(path.join(BUILT, "licences.txt"), await licences(Object.keys(metafile.inputs)));
for (const name of AS_THEY_ARE) await writeFile(path.join(BUILT, name), await readFile(path.join(SOURCES, name)));
