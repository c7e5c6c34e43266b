// Compiles every pattern and every schema of the documents and validates every example, as a shop on Node.js would:
//   node check.mjs DOCUMENT…   prints one JSON object: counts, and what failed.
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";

const failures = [];
const counts = { patterns: 0, schemas: 0, examples: 0 };

const tried = (what, work) => {
  try {
    work();
  } catch (error) {
    failures.push(`${what}: ${error.message}`);
  }
};

function* walked(node, path = "") {
  if (node === null || typeof node !== "object") return;
  yield [path, node];
  for (const [name, value] of Object.entries(node)) yield* walked(value, `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`);
}

// The examples that stand in the document, each with its schema.
function* examples(document) {
  for (const [path, node] of walked(document)) {
    if (node.schema !== undefined && node.example !== undefined) yield [`${path}/example`, node.schema, node.example];
    if (node.payload !== undefined && Array.isArray(node.examples)) {
      for (const [number, each] of node.examples.entries()) yield [`${path}/examples/${number}`, node.payload, each.payload];
    }
  }
}

const WHOLE = "https://parley.example/document";
// The schema with its references to where Ajv has the document's schemas.
const references = (schema) => JSON.parse(JSON.stringify(schema).replaceAll('"#/components/schemas/', `"${WHOLE}#/$defs/`));
// Keywords of OpenAPI that are not JSON Schema's.
const VOCABULARY = ["discriminator", "example", "xml", "externalDocs"];

for (const file of process.argv.slice(2)) {
  const document = parse(readFileSync(file, "utf8"));
  const ajv = new Ajv2020({ strict: true, strictTypes: false, allowUnionTypes: true, allErrors: true });
  addFormats(ajv);
  for (const word of VOCABULARY) ajv.addKeyword(word);
  ajv.addSchema({ $id: WHOLE, $defs: references(document.components.schemas) }, undefined, false, false);
  const compiled = (schema) => ajv.compile(references(schema));
  for (const [path, node] of walked(document)) {
    if (typeof node.pattern === "string") {
      counts.patterns += 1;
      for (const flags of ["u", ""]) tried(`${file}${path} with "${flags}"`, () => new RegExp(node.pattern, flags));
    }
  }
  for (const name of Object.keys(document.components.schemas)) {
    counts.schemas += 1;
    tried(`${file} ${name}`, () => compiled({ $ref: `#/components/schemas/${name}` }));
  }
  for (const [where, schema, example] of examples(document)) {
    counts.examples += 1;
    tried(`${file}${where}`, () => {
      const validate = compiled(schema);
      if (!validate(example)) throw new Error(ajv.errorsText(validate.errors));
    });
  }
}
console.log(JSON.stringify({ ...counts, failures }, null, 1));
