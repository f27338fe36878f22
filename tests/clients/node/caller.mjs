// Makes calls for another program, with one of the vendor's SDKs for Node.
// Usage: node caller.mjs pop-core|openapi-client CREDENTIALS
// Reads lines {"action", "parameters", "method"}; answers each with a line {"answer"} or {"code", "message"}.
import fs from "node:fs";
import readline from "node:readline";

import openapi from "@alicloud/openapi-client";
import popCore from "@alicloud/pop-core";
import teaUtil from "@alicloud/tea-util";

const [kind, file] = process.argv.slice(2);
const credentials = JSON.parse(fs.readFileSync(file, "utf8"));
const ca = fs.readFileSync(credentials.ca_file, "utf8");

function popCoreCaller() {
  const client = new popCore.RPCClient({
    endpoint: credentials.https_endpoint,
    apiVersion: "2016-01-01",
    accessKeyId: credentials.access_key_id,
    accessKeySecret: credentials.access_key_secret,
  });
  return ({ action, parameters, method }) => client.request(action, parameters, { method, ca, timeout: 60_000 });
}

function openapiCaller() {
  const { default: Client, Config, OpenApiRequest, Params } = openapi;
  const client = new Client(
    new Config({
      accessKeyId: credentials.access_key_id,
      accessKeySecret: credentials.access_key_secret,
      endpoint: credentials.https_endpoint.replace("https://", ""),
      protocol: "https",
      regionId: credentials.region_id,
      ca,
    }),
  );
  return async ({ action, parameters, method }) => {
    const params = new Params({
      action, version: "2016-01-01", protocol: "https", pathname: "/", method: "POST",
      authType: "AK", style: "RPC", reqBodyType: "formData", bodyType: "json",
    });
    const place = method === "GET" ? "query" : "body";
    const request = new OpenApiRequest({ [place]: parameters });
    return (await client.callApi(params, request, new teaUtil.RuntimeOptions({ readTimeout: 60_000 }))).body;
  };
}

const call = kind === "pop-core" ? popCoreCaller() : openapiCaller();
for await (const line of readline.createInterface({ input: process.stdin })) {
  let result;
  try {
    result = { answer: await call(JSON.parse(line)) };
  } catch (error) {
    result = { code: String(error.code), message: String(error.message) };
  }
  console.log(JSON.stringify(result));
}
