// The description of the API, read for the page.

/** Follows a reference to another place of the description. */
function resolved(description, value) {
  if (!value?.$ref) return value;
  const path = value.$ref.slice(2).split("/");
  return path.reduce((place, name) => place[name], description);
}

/** Everything that the page shows of an action. */
function actionOf(description, path, item) {
  const { post, get } = item;
  const success = resolved(description, post.responses["200"]);
  const answer = success.content["application/json"];
  return {
    name: path.slice(1),
    path,
    section: post.tags[0],
    summary: post.summary,
    description: post.description,
    isMutating: post["x-mutating"],
    createsTask: post["x-creates-task"],
    https: post["x-https"],
    ram: post["x-ram"],
    aliases: post["x-aliases"] ?? [],
    requirements: post["x-requirements"] ?? [],
    errors: post["x-errors"],
    samples: post["x-codeSamples"],
    parameters: get.parameters.map(parameterOf),
    fields: fieldsOf(resolved(description, answer.schema), ""),
    example: answer.example,
  };
}

/** Everything that the page shows of a parameter. */
function parameterOf(parameter) {
  const isRepeated = parameter.schema.type === "object";
  const [value] = isRepeated ? Object.values(parameter.schema.patternProperties) : [parameter.schema];
  return {
    name: parameter.name,
    description: parameter.description,
    isRequired: parameter.required === true,
    isRepeated,
    isSecret: value.format === "password",
    standsFor: parameter["x-stands-for"],
    example: parameter.example,
    type: value.type,
    choices: value.type === "boolean" ? ["true", "false"] : (value.enum ?? []).map(String),
    preset: value.default,
    least: value.minimum,
    most: value.maximum,
    shortest: value.minLength,
    longest: value.maxLength,
    pattern: value.pattern,
  };
}

/** The fields of an answer in the order of the description, those of lists below them. */
function fieldsOf(schema, prefix) {
  const isRequired = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const row = {
      path,
      type: field.items ? "array" : field.type,
      isOptional: !isRequired.has(name),
      description: field.description ?? "",
      choices: (field.enum ?? []).filter((choice) => choice !== ""),
    };
    const inner = field.items
      ? fieldsOf(field.items, `${path}[].`)
      : fieldsOf(field, `${path}.`);
    // The object around a list has nothing to say but the list's name.
    const only = Object.values(field.properties ?? {});
    if (only.length === 1 && only[0].items) inner[0].description = row.description;
    return only.length === 1 && only[0].items ? inner : [row, ...inner];
  });
}

/** The errors that every action can answer: code and status. */
function commonErrors(description) {
  return Object.entries(description.components.schemas)
    .filter(([name]) => name.startsWith("CommonCode"))
    .flatMap(([name, schema]) => schema.enum.map((code) => ({ code, status: Number(name.slice(10)) })));
}

/** Fetches and reads the description. */
export async function load() {
  const answer = await fetch("/openapi.json", { credentials: "omit" });
  if (!answer.ok) throw new Error(`/openapi.json: HTTP ${answer.status}`);
  const description = await answer.json();
  const actions = Object.entries(description.paths).map(([path, item]) => actionOf(description, path, item));
  return {
    version: description.info.version,
    introduction: description.info.description,
    sections: description.tags.map((tag) => tag.name),
    actions,
    commonErrors: commonErrors(description),
  };
}
