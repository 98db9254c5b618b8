"use strict";
// Everything is set as text, never as HTML: what the document says cannot become part of the page.

let api;

function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

/** Text whose parts in backticks are code. */
function prose(text) {
  return (text || "").split("`").map((part, index) => (index % 2 ? node("code", {}, part) : part));
}

function resolved(part) {
  if (!part || !part.$ref) return part;
  return part.$ref.slice(2).split("/").reduce((inside, key) => inside[key], api);
}

function kind(schema) {
  const part = resolved(schema);
  if (part.const !== undefined) return JSON.stringify(part.const);
  if (part.enum) return part.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (part.oneOf) return part.oneOf.map(kind).join(" or ");
  if (part.type === "array") return `list of ${kind(part.items)}`;
  return schema.$ref ? schema.$ref.split("/").pop() : [part.type].flat().join(" or ");
}

function bounds(schema, unit) {
  const part = resolved(schema);
  const [low, high] = [part.minimum ?? part.minLength ?? part.minItems, part.maximum ?? part.maxLength ?? part.maxItems];
  const said = [];
  if (low !== undefined && high !== undefined) said.push(`${low} to ${high}${unit(part)}`);
  else if (high !== undefined) said.push(`at most ${high}${unit(part)}`);
  else if (low !== undefined) said.push(`at least ${low}${unit(part)}`);
  if (part.default !== undefined) said.push(`default ${JSON.stringify(part.default)}`);
  return said.join(", ");
}

function unit(part) {
  if (part.maxLength ?? part.minLength) return " characters";
  return part.maxItems ?? part.minItems ? " entries" : "";
}

function entry(name, schema, required, description) {
  const said = [kind(schema), bounds(schema, unit), required ? "required" : ""].filter(Boolean).join(" · ");
  const inside = resolved(schema).type === "array" ? resolved(schema).items : schema;
  return [
    node("dt", {}, node("code", {}, name), " ", node("span", { class: "soft" }, said)),
    node("dd", {}, ...prose(description ?? resolved(schema).description), ...alternatives(inside).map(members)),
  ];
}

function alternatives(schema) {
  const part = resolved(schema);
  if (part.oneOf) return part.oneOf.flatMap(alternatives);
  return part.properties ? [part] : [];
}

function members(part) {
  const list = Object.entries(part.properties);
  return node("dl", {}, ...list.flatMap(([name, one]) => entry(name, one, (part.required || []).includes(name))));
}

/** A value that fits, made of the document's own examples. */
function example(schema) {
  const part = resolved(schema);
  if (part.examples) return part.examples[0];
  if (part.const !== undefined) return part.const;
  if (part.default !== undefined) return part.default;
  if (part.enum) return part.enum[0];
  if (part.oneOf) return example(part.oneOf[0]);
  if (part.type === "array") return [example(part.items)];
  if (part.properties) {
    const shown = Object.entries(part.properties).filter(([, one]) => !("" + resolved(one).type).includes("null") || resolved(one).examples);
    return Object.fromEntries(shown.map(([name, one]) => [name, example(one)]));
  }
  return { string: "…", integer: 0, number: 0, boolean: true }[[part.type].flat()[0]] ?? null;
}

function command(method, path, operation) {
  const needed = (operation.parameters || []).filter((one) => one.in === "path");
  const address = needed.reduce((text, one) => text.replace(`{${one.name}}`, one.schema.examples[0]), path);
  const lines = [`curl "${location.origin}${address}"`];
  if ((operation.security || []).some((one) => one.bearer)) lines.push('-H "Authorization: Bearer $TOKEN"');
  if (operation.requestBody) lines.push(`-d '${JSON.stringify(example(content(operation.requestBody).schema), null, 1)}'`);
  return node("pre", {}, lines.join(" \\\n  "));
}

function content(part) {
  return Object.values(part.content || {})[0] || {};
}

function body(operation) {
  if (!operation.requestBody) return [];
  return [node("h3", {}, "Body"), ...forms(content(operation.requestBody).schema)];
}

function forms(schema) {
  return alternatives(schema).flatMap((part) => [node("p", {}, ...prose(part.description)), members(part)]);
}

function response([status, named]) {
  const part = resolved(named);
  const head = node("summary", {}, node("code", {}, status), " ", ...prose(part.description));
  const [type, held] = Object.entries(part.content || {})[0] || ["", {}];
  const headers = Object.keys(part.headers || {}).join(", ");
  const notes = [type, headers && `headers ${headers}`].filter(Boolean).join(" · ");
  const shown = node("details", {}, head, node("p", { class: "soft" }, notes));
  if (held.schema && alternatives(held.schema).length) {
    if (status < "400") shown.append(node("pre", {}, JSON.stringify(example(held.schema), null, 2)));
    shown.append(...forms(held.schema));
  }
  return shown;
}

function who(operation) {
  const options = operation.security || [];
  if (!options.length) return "Needs no token.";
  if (options.some((one) => !one.bearer)) return "A token is optional.";
  return options[0].bearer.includes("service") ? "Needs a token with the scope service." : "Needs a token.";
}

function article(method, path, operation) {
  const parameters = operation.parameters || [];
  return node(
    "article",
    { id: operation.operationId },
    node("h2", {}, operation.summary),
    node("div", { class: "address" }, node("code", { class: method }, method.toUpperCase()), node("code", {}, path)),
    node("p", {}, ...prose(operation.description), " ", node("span", { class: "soft" }, who(operation))),
    command(method, path, operation),
    parameters.length ? node("h3", {}, "Parameters") : null,
    node("dl", {}, ...parameters.flatMap((one) => entry(one.name, one.schema, one.required, one.description))),
    ...body(operation),
    node("h3", {}, "Answers"),
    ...Object.entries(operation.responses).map(response),
  );
}

async function draw() {
  const main = document.querySelector("main");
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  api = await answer.json();
  const all = Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ method, path, operation })));
  main.append(
    node("h1", {}, `${api.info.title} API`),
    node("p", {}, ...prose(`${api.info.summary} ${api.info.description}`)),
    node("p", {}, ...prose(api.components.securitySchemes.bearer.description)),
    node("p", { class: "soft" }, `OpenAPI ${api.openapi}, version ${api.info.version}: `, node("a", { href: "openapi.json" }, "openapi.json")),
  );
  for (const { name } of api.tags) {
    const own = all.filter((one) => one.operation.tags.includes(name));
    document.querySelector("#contents").append(
      node("h2", {}, name),
      node("ul", {}, ...own.map(({ operation }) => node("li", {}, node("a", { href: `#${operation.operationId}` }, operation.summary)))),
    );
    main.append(...own.map(({ method, path, operation }) => article(method, path, operation)));
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

draw().catch((error) => document.querySelector("main").append(node("p", {}, `The document cannot be shown: ${error.message}`)));
