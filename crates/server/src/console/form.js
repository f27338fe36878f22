// The form of an action's parameters.

import { element, prose } from "./dom.js";
import { remember, remembered, suggestions } from "./memory.js";

/** The values of a form: `rows` for the page, `values()` for a call. */
export function parameterForm(action) {
  const inputs = [];
  const rows = action.parameters.map((parameter) =>
    parameter.isRepeated ? repeatedRow(parameter, inputs) : row(parameter, parameter.name, inputs),
  );
  return { rows, values: () => valuesOf(inputs), firstMissing: () => firstMissing(inputs) };
}

/** Names and values that were filled in, as they are sent; they are remembered as well. */
function valuesOf(inputs) {
  for (const { parameter, input } of inputs) remember(parameter, input.value);
  return inputs.filter(({ input }) => input.value !== "").map(({ name, input }) => [name, input.value]);
}

/** The first input that must be filled in and is not. */
function firstMissing(inputs) {
  return inputs.find(({ parameter, input }) => parameter.isRequired && input.required && input.value === "")?.input;
}

/** A parameter with its name, its input and what it means. */
function row(parameter, name, inputs) {
  const id = `parameter-${name.replaceAll(".", "-")}`;
  const { input, companions } = inputOf(parameter, name, id);
  inputs.push({ parameter, name, input });
  return element(
    "div",
    { class: "parameter" },
    element("label", { for: id }, name, parameter.isRequired && mark()),
    element("div", { class: "value" }, input, companions),
    element("p", { id: `${id}-help`, class: "help" }, prose(helpOf(parameter))),
  );
}

/** A parameter that may be given several times, each with a number. */
function repeatedRow(parameter, inputs) {
  const rows = element("div", { class: "repeated" });
  let count = 0;
  const add = () => {
    count += 1;
    const isOptional = { ...parameter, isRequired: parameter.isRequired && count === 1 };
    rows.append(row(isOptional, parameter.name.replace(".N", `.${count}`), inputs));
  };
  add();
  const more = () => {
    add();
    inputs.at(-1).input.focus();
  };
  const label = `Another ${parameter.name}`;
  return [rows, element("button", { type: "button", class: "more", click: more }, label)];
}

const mark = () => element("span", { class: "required" }, " required");

/** An input of the kind that the parameter needs, filled with what is known. */
function inputOf(parameter, name, id) {
  const shared = {
    id,
    name,
    required: parameter.isRequired,
    "aria-describedby": `${id}-help`,
    autocomplete: "off",
  };
  const start = remembered(parameter) || exampleOf(parameter, name);
  if (parameter.choices.length > 0) {
    const none = parameter.preset === undefined ? "not sent" : `not sent (${parameter.preset})`;
    const options = parameter.choices.map((choice) =>
      element("option", { value: choice, selected: choice === start }, choice),
    );
    return { input: element("select", shared, element("option", { value: "" }, none), options) };
  }
  const offered = suggestions(parameter);
  const input = element("input", {
    ...shared,
    type: parameter.isSecret ? "password" : "text",
    inputmode: parameter.type === "integer" && "numeric",
    autocomplete: parameter.isSecret ? "new-password" : "off",
    autocapitalize: "off",
    spellcheck: "false",
    placeholder: String(placeholderOf(parameter, name) ?? ""),
    list: offered.length > 0 && `${id}-offered`,
  });
  input.value = start;
  const list =
    offered.length > 0 &&
    element("datalist", { id: `${id}-offered` }, offered.map((value) => element("option", { value })));
  return { input, companions: list };
}

/** The example's value, where it is one that anybody can send. */
function exampleOf(parameter, name) {
  if (parameter.standsFor || parameter.isSecret || parameter.example === undefined) return "";
  return String((parameter.isRepeated ? parameter.example[name] : parameter.example) ?? "");
}

/** What stands in an empty input. */
function placeholderOf(parameter, name) {
  if (parameter.isSecret) return "";
  if (parameter.standsFor) {
    const example = parameter.isRepeated ? parameter.example[name] : parameter.example;
    return example && `such as ${example}`;
  }
  return parameter.preset ?? "";
}

/** What a parameter means, with the rules that its description does not say. */
function helpOf(parameter) {
  const said = /Rule:/.test(parameter.description);
  const rules = [];
  if (!said && parameter.least !== undefined) rules.push(`${parameter.least} to ${parameter.most}.`);
  if (!said && parameter.longest !== undefined) rules.push(`At most ${parameter.longest} characters.`);
  if (parameter.preset !== undefined) rules.push(`Default: ${parameter.preset}.`);
  return [parameter.description, ...rules].join(" ");
}
