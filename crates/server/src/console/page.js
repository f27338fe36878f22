// The frame of the page: the list of actions, the search, the access key, and which action is
// shown. An address such as /api#CreateInstance leads to that action.

import { actionPage } from "./action.js";
import { element, prose } from "./dom.js";
import { load } from "./description.js";
import { credentials } from "./memory.js";

const list = document.querySelector("#actions");
const search = document.querySelector("#search");
const main = document.querySelector("#main");

/** Binds the inputs of the access key to what signs. */
function bindCredentials() {
  const key = document.querySelector("#key");
  const summary = document.querySelector("#key-state");
  key.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    if (event.target === key.querySelector("summary")) return;
    // Else the same key press, on the line that gets the focus, would open it again.
    event.preventDefault();
    key.open = false;
    key.querySelector("summary").focus();
  });
  for (const [id, name] of [["#key-id", "id"], ["#key-secret", "secret"], ["#key-token", "token"]]) {
    const input = document.querySelector(id);
    input.value = "";
    input.addEventListener("input", () => {
      credentials[name] = input.value.trim();
      summary.textContent = credentials.id && credentials.secret ? credentials.id : "none given";
    });
  }
}

/** The list of actions whose name or summary has every word that is searched for. */
function showList(api) {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = ({ name, summary }) => words.every((word) => `${name} ${summary}`.toLowerCase().includes(word));
  const found = api.actions.filter(matches);
  const sections = api.sections
    .map((section) => [section, found.filter((action) => action.section === section)])
    .filter(([, actions]) => actions.length > 0)
    .map(([section, actions]) => [element("h2", {}, section), element("ul", {}, actions.map(listed))]);
  list.replaceChildren(...(found.length > 0 ? sections.flat() : [element("p", {}, "No such action.")]));
  markCurrent();
}

const listed = (action) =>
  element(
    "li",
    {},
    element(
      "a",
      { href: `#${action.name}`, title: action.summary },
      action.name,
    ),
  );

/** Marks the action that is shown. */
function markCurrent() {
  for (const link of list.querySelectorAll("a")) {
    if (link.hash === location.hash) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Shows the action that the address names, or what all have in common. */
function showPage(api) {
  const name = decodeURIComponent(location.hash.slice(1));
  const action = api.actions.find((other) => other.name === name || other.aliases.includes(name));
  document.title = action ? `${action.name} – OpenPeta API` : "OpenPeta API";
  main.replaceChildren(action ? actionPage(action, api) : overview(api, name));
  main.scrollTop = 0;
  scrollTo(0, 0);
  markCurrent();
  list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  if (action) main.querySelector("h2").focus({ preventScroll: true });
}

function overview(api, unknown) {
  return element(
    "article",
    {},
    element("h2", { tabindex: "-1" }, "API"),
    unknown && element("p", { class: "verdict refused" }, `There is no action ${unknown}.`),
    api.introduction.split("\n\n").map((paragraph) => element("p", {}, prose(paragraph))),
    element(
      "p",
      {},
      "The same for programs, in OpenAPI 3.1: ",
      element("a", { href: "/openapi.json" }, "/openapi.json"),
      ".",
    ),
  );
}

/** The keyboard: / searches, from there Enter opens the first action and the arrow goes down. */
function bindKeys() {
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, select, textarea");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      search.focus();
    }
  });
  search.addEventListener("keydown", (event) => {
    const first = list.querySelector("a");
    if (event.key === "Enter" && first) location.hash = first.hash;
    if (event.key === "ArrowDown" && first) {
      event.preventDefault();
      first.focus();
    }
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const links = [...list.querySelectorAll("a")];
    const next = links.indexOf(document.activeElement) + step;
    (links[next] ?? search).focus();
  });
}

async function start() {
  bindCredentials();
  bindKeys();
  try {
    const api = await load();
    document.querySelector("#version").textContent = api.version;
    search.addEventListener("input", () => showList(api));
    addEventListener("hashchange", () => showPage(api));
    showList(api);
    showPage(api);
  } catch (error) {
    main.replaceChildren(element("p", { class: "verdict refused" }, `The description cannot be read: ${error.message}`));
  }
}

start();
