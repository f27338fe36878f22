// What the page remembers until it is closed: the access key, values that were typed, and names
// that answers brought. Nothing of it is stored, and nothing but signed calls is sent.

/** The access key; empty until it is given. */
export const credentials = { id: "", secret: "", token: "" };

/** Values by the name of their parameter, secrets not among them. */
const typed = new Map();
/** Values by the name of the field that they came in. */
const seen = new Map();

/** Keeps a value for the next action with such a parameter. */
export function remember(parameter, value) {
  const name = parameter.standsFor ?? parameter.name;
  if (value === "") typed.delete(name);
  else if (!parameter.isSecret) typed.set(name, value);
}

/** The value that such a parameter had last. */
export const remembered = (parameter) => typed.get(parameter.standsFor ?? parameter.name) ?? "";

/** Keeps the names of objects that an answer brought, to be offered later. */
export function notice(answer) {
  for (const [name, value] of Object.entries(answer ?? {})) {
    if (value && typeof value === "object") notice(value);
    else if (/(Id|Name|ConnectionString)$/.test(name) && name !== "RequestId" && value !== "") {
      if (!seen.has(name)) seen.set(name, new Set());
      seen.get(name).add(String(value));
    }
  }
}

/** Values to offer for a parameter. */
export const suggestions = (parameter) => [...(seen.get(parameter.standsFor ?? parameter.name) ?? [])];
