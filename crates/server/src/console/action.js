// The page of one action: what it does, its form, what came of a call, snippets, fields, errors.

import { send, shownResult } from "./call.js";
import { copyable, element, prose, table } from "./dom.js";
import { parameterForm } from "./form.js";
import { credentials } from "./memory.js";

/** Everything about an action, ready to be put on the page. */
export function actionPage(action, api) {
  return element(
    "article",
    {},
    element("h2", { tabindex: "-1" }, action.name),
    element("p", { class: "lead" }, prose(action.description)),
    badges(action),
    action.requirements.length > 0 && [
      element("h3", {}, "Requirements"),
      element("ul", {}, action.requirements.map((text) => element("li", {}, prose(text)))),
    ],
    tryIt(action, api),
    element("h3", {}, "Answer"),
    fields(action),
    element("h3", {}, "Errors"),
    errors(action, api),
  );
}

/** The properties of an action in a line. */
function badges(action) {
  const all = [
    [action.isMutating ? "changes state" : "reads only", action.isMutating ? "change" : "read"],
    action.createsTask ? ["a task goes on after the answer", "plain"] : null,
    action.https === "required" ? ["HTTPS required", "warn"] : null,
    action.https === "recommended" ? ["HTTPS recommended", "plain"] : null,
  ];
  const marks = all.filter(Boolean).map(([text, kind]) => element("li", { class: kind }, text));
  return [
    element("ul", { class: "badges", "aria-label": "Properties" }, marks),
    element("p", { class: "ram" }, "RAM: ", element("code", {}, action.ram.action), " on ", element("code", {}, action.ram.resource)),
    action.aliases.length > 0 && element("p", { class: "ram" }, `Also accepted as ${action.aliases.join(", ")}.`),
  ];
}

/** The form, and below it what came of the call. */
function tryIt(action, api) {
  const form = parameterForm(action);
  const carriesSecret = action.parameters.some(({ isSecret }) => isSecret);
  const method = choice("method", "Method", carriesSecret ? ["POST"] : ["GET", "POST"], preferred(action));
  const format = choice("format", "Answer as", ["JSON", "XML"], "JSON");
  const result = element("div", { id: "result", class: "result", role: "status", "aria-live": "polite" });
  const button = element("button", { type: "submit", class: "primary" }, "Send");
  const { shown: snippets, update } = snippetsOf(action, form);

  async function submit(event) {
    event.preventDefault();
    const missing = form.firstMissing();
    if (!credentials.id || !credentials.secret) {
      result.replaceChildren(element("p", { class: "verdict refused" }, "Give an access key first."));
      document.querySelector("#key").open = true;
      document.querySelector("#key-id").focus();
      return;
    }
    if (missing) {
      result.replaceChildren(element("p", { class: "verdict refused" }, `${missing.name} is required.`));
      missing.focus();
      return;
    }
    button.disabled = true;
    try {
      const call = { action, version: api.version, format: format.value(), method: method.value(), own: form.values() };
      result.replaceChildren(...element("div", {}, shownResult(await send(call), action, api.commonErrors)).childNodes);
    } catch (error) {
      result.replaceChildren(element("p", { class: "verdict refused" }, `Not sent, or not answered: ${error.message}`));
    } finally {
      button.disabled = false;
    }
  }
  return [
    element("h3", {}, "Parameters"),
    element(
      "form",
      { id: "call", novalidate: true, autocomplete: "off", submit, input: update },
      form.rows.length > 0 ? form.rows : element("p", {}, "None besides the common ones."),
      element("div", { class: "send" }, button, method.shown, format.shown),
    ),
    result,
    element("h3", {}, "The same call elsewhere"),
    snippets,
  ];
}

/** Reading calls go into a URL, changing ones into a form. */
const preferred = (action) => (action.isMutating ? "POST" : "GET");

/** A choice of one out of few. */
function choice(name, label, values, start) {
  const select = element(
    "select",
    { id: name, name },
    values.map((value) => element("option", { value, selected: value === start }, value)),
  );
  return { shown: element("label", { for: name }, `${label} `, select), value: () => select.value };
}

/** The call as a command with the values of the form, and the example for other clients. */
function snippetsOf(action, form) {
  const secrets = new Set(action.parameters.filter(({ isSecret }) => isSecret).map(({ name }) => name));
  const command = element("div");
  const update = () => {
    const values = form.values().filter(([name]) => !secrets.has(name));
    const hidden = [...secrets].map((name) => [name, `env:${name}`]);
    const words = [...values, ...hidden].map(([name, value]) => ` --${name} ${shellWord(value)}`);
    command.replaceChildren(copyable(`openpeta call ${action.name}${words.join(words.length > 2 ? " \\\n " : "")}`));
  };
  update();
  const samples = action.samples.map(({ label, source }) => [label, copyable(here(source))]);
  return { shown: tabs([["openpeta call", command], ...samples]), update };
}

/** A snippet with this service's address in the place of the usual one. */
const here = (source) =>
  source.replaceAll(
    location.protocol === "https:" ? "127.0.0.1:8443" : "127.0.0.1:8080",
    location.host,
  );

/** A word as a shell reads it back. */
const shellWord = (text) => (/^[\w./:,=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Panels of which one is seen; the arrow keys go from tab to tab. */
function tabs(panels) {
  const heads = panels.map(([label], index) =>
    element("button", { type: "button", role: "tab", id: `tab-${index}`, "aria-controls": `panel-${index}`, click: () => show(index) }, label),
  );
  const bodies = panels.map(([, content], index) =>
    element("div", { role: "tabpanel", id: `panel-${index}`, "aria-labelledby": `tab-${index}` }, content),
  );
  function show(index) {
    heads.forEach((head, other) => {
      head.setAttribute("aria-selected", String(other === index));
      head.tabIndex = other === index ? 0 : -1;
    });
    bodies.forEach((body, other) => {
      body.hidden = other !== index;
    });
  }
  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (heads.indexOf(document.activeElement) + step + heads.length) % heads.length;
    show(next);
    heads[next].focus();
  }
  show(0);
  return element("div", { class: "tabs" }, element("div", { role: "tablist", "aria-label": "Clients", keydown: move }, heads), bodies);
}

function fields(action) {
  const rows = action.fields.map(({ path, type, description, choices, isOptional }) => [
    element("code", {}, path),
    type,
    [
      ...prose(description),
      choices.length > 0 && ` One of ${choices.join(", ")}.`,
      isOptional && " Left out when there is none.",
    ],
  ]);
  return [
    table("Fields of the answer", ["Field", "Type", "Description"], rows),
    element("details", {}, element("summary", {}, "Example"), copyable(JSON.stringify(action.example, null, 2))),
  ];
}

function errors(action, api) {
  const own = action.errors.map(({ code, status, when }) => [element("code", {}, code), String(status), prose(when)]);
  const common = api.commonErrors.map(({ code, status }) => [element("code", {}, code), String(status)]);
  return [
    own.length > 0 && table("Errors of this action", ["Code", "HTTP status", "When"], own),
    element(
      "details",
      {},
      element("summary", {}, "Codes that every action can answer"),
      table("Common errors", ["Code", "HTTP status"], common),
    ),
  ];
}
