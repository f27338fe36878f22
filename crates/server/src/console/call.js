// Sending a call, and showing what was sent and what came back.

import { copyable, element } from "./dom.js";
import { credentials, notice } from "./memory.js";
import { encode, joined, signedCall } from "./sign.js";

/** What stands in the place of a secret. */
const MASK = "***";

/** Signs and sends a call; returns what there is to show of it. */
export async function send({ action, version, format, method, own }) {
  const all = signedCall({ action: action.name, version, format, method, own, credentials });
  const target = method === "GET" ? `${action.path}?${joined(all)}` : action.path;
  const started = performance.now();
  const answer = await fetch(target, {
    method,
    headers: method === "GET" ? {} : { "content-type": "application/x-www-form-urlencoded" },
    body: method === "GET" ? undefined : joined(all),
    credentials: "omit",
    cache: "no-store",
    redirect: "error",
  });
  const text = await answer.text();
  const fields = fieldsOf(text);
  if (answer.ok) notice(fields.whole);
  return {
    sent: shownRequest(action, method, all),
    status: answer.status,
    requestId: answer.headers.get("x-acs-request-id") ?? fields.requestId,
    millis: Math.round(performance.now() - started),
    isRefused: !answer.ok,
    code: fields.code,
    message: fields.message,
    text,
  };
}

/** The request as it was sent, secrets masked. */
function shownRequest(action, method, all) {
  const secrets = new Set(action.parameters.filter(({ isSecret }) => isSecret).map(({ name }) => name));
  secrets.add("SecurityToken");
  const pairs = all.map(([name, value]) => `${encode(name)}=${secrets.has(name) ? MASK : encode(value)}`);
  const url = `${location.origin}${action.path}`;
  return method === "GET" ? `GET ${url}?${pairs.join("&")}` : `POST ${url}\n\n${pairs.join("\n&")}`;
}

/** What the page itself reads of an answer in either form. */
function fieldsOf(text) {
  try {
    const whole = JSON.parse(text);
    return { whole, code: whole.Code, message: whole.Message, requestId: whole.RequestId };
  } catch {
    const inside = (name) => text.match(new RegExp(`<${name}>([^<]*)</${name}>`))?.[1];
    return { code: inside("Code"), message: inside("Message"), requestId: inside("RequestId") };
  }
}

/** What came of a call. */
export function shownResult(result, action, commonErrors) {
  const verdict = result.isRefused ? `${result.status} ${result.code ?? ""}` : `${result.status} OK`;
  const known = [...action.errors, ...commonErrors].find(({ code }) => code === result.code);
  const pretty = prettyAnswer(result.text);
  return [
    element(
      "p",
      { class: result.isRefused ? "verdict refused" : "verdict succeeded" },
      element("strong", {}, verdict),
      ` in ${result.millis} ms`,
    ),
    result.isRefused && element("p", { class: "message" }, result.message ?? ""),
    known?.when && element("p", { class: "message" }, `It means: ${known.when}.`),
    result.code === "InvalidProtocol.NeedSsl" &&
      element("p", { class: "message" }, "Open this page over HTTPS to send a password."),
    element("p", { class: "request-id" }, "RequestId ", element("code", {}, result.requestId ?? "none")),
    element("h4", {}, "Answer"),
    copyable(pretty.text, pretty.content),
    element("h4", {}, "Request"),
    copyable(result.sent),
  ];
}

/** An answer, indented, with its parts marked for colours. */
function prettyAnswer(text) {
  try {
    const pretty = JSON.stringify(JSON.parse(text), null, 2);
    return { text: pretty, content: coloured(pretty) };
  } catch {
    const pretty = text.startsWith("<") ? indentedXml(text) : text;
    return { text: pretty, content: pretty };
  }
}

/** The parts of a JSON text: names, texts, numbers and words. */
const JSON_PARTS = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|(true|false|null)/g;

function coloured(json) {
  const parts = [];
  let end = 0;
  for (const found of json.matchAll(JSON_PARTS)) {
    const [whole, text, colon, number] = found;
    const kind = colon ? "name" : text ? "text" : number ? "number" : "word";
    parts.push(json.slice(end, found.index), element("span", { class: `json-${kind}` }, text ?? whole), colon ?? "");
    end = found.index + whole.length;
  }
  return [...parts, json.slice(end)];
}

/** XML with a line for each element; the service writes neither attributes nor comments. */
function indentedXml(xml) {
  let depth = 0;
  const lines = [];
  for (const [part, closing] of xml.matchAll(/<(\/?)[^>]*>[^<]*/g)) {
    if (closing) depth -= 1;
    const opens = lines.at(-1)?.trimStart().match(/^<(\w+)>/)?.[1];
    const isLeafEnd = closing && !lines.at(-1).includes("</") && part.startsWith(`</${opens}>`);
    if (isLeafEnd) lines[lines.length - 1] += part;
    else lines.push("  ".repeat(depth) + part);
    if (!closing) depth += 1;
  }
  return lines.join("\n");
}
