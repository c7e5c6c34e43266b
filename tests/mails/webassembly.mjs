// The names of names.py under the CPython of Pyodide, which is newer than a system's:  node webassembly.mjs REPOSITORY PACKAGES
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , repository, packages] = process.argv;
const { loadPyodide } = await import(pathToFileURL(createRequire(`${repository}/tests/clients/package.json`).resolve("pyodide/pyodide.mjs")));
const python = await loadPyodide();
for (const [at, root] of [["/repository", repository], ["/packages", packages]]) {
  python.FS.mkdirTree(at);
  python.FS.mount(python.FS.filesystems.NODEFS, { root }, at);
}
process.exit(
  python.runPython(`
import sys
sys.dont_write_bytecode = True
sys.path[:0] = ["/repository", "/packages"]
from tests.mails import names
try:
    names.main()
except SystemExit as ended:
    status = int(ended.code)
status
`),
);
