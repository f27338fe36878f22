// Signs the vectors of a file with the module that the browser page signs with.
// Usage: node page_signatures.mjs MODULE VECTORS
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [module, vectors] = process.argv.slice(2);
const { signature, stringToSign } = await import(pathToFileURL(module));
const signed = JSON.parse(readFileSync(vectors, "utf8")).v1.map(({ method, parameters, access_key_secret: secret }) => {
  const pairs = Object.entries(parameters);
  return { string_to_sign: stringToSign(method, pairs), signature: signature(method, pairs, secret) };
});
console.log(JSON.stringify(signed));
