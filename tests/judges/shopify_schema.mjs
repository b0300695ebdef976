// Shopify's own Admin schema judges the documents of the adapter and what the store of the local stack answers.
// An answer holds exactly the fields that were selected, each of the type the schema gives it; errors come without data.
//
//   node shopify_schema.mjs TOOLS SCHEMA.json.gz DOCUMENTS_FOLDER [RECORDING...]
//
// Its own teeth first: broken documents and answers must be found, or nothing below is worth reading.

import { createRequire } from "node:module";
import { readFileSync, readdirSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { join } from "node:path";

const [tools, schemaFile, folder, ...recordings] = process.argv.slice(2);
const require = createRequire(join(tools, "index.js"));
const graphql = require("graphql");
const schema = graphql.buildClientSchema(JSON.parse(gunzipSync(readFileSync(schemaFile))).data);

const DECIMAL = /^-?\d+(\.\d+)?$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const text = (value) => typeof value === "string";
const SCALARS = {
  ID: text,
  String: text,
  Boolean: (value) => typeof value === "boolean",
  Int: (value) => Number.isInteger(value) && Math.abs(value) < 2 ** 31,
  Float: (value) => typeof value === "number",
  Decimal: (value) => text(value) && DECIMAL.test(value),
  Money: (value) => text(value) && DECIMAL.test(value),
  DateTime: (value) => text(value) && TIME.test(value),
  URL: (value) => text(value) && /^https?:\/\/\S+$/.test(value),
  UnsignedInt64: (value) => text(value) && /^\d+$/.test(value),
};

function skipped(node, variables) {
  return (node.directives ?? []).some((directive) => {
    const condition = directive.arguments.find((a) => a.name.value === "if")?.value;
    const holds = condition?.kind === "Variable" ? variables[condition.name.value] : condition?.value;
    return (directive.name.value === "skip" && holds === true) || (directive.name.value === "include" && holds === false);
  });
}

/** The fields that a selection asks of an object, by the key they are answered under. */
function collect(selections, fragments, variables, into = new Map()) {
  for (const node of selections) {
    if (skipped(node, variables)) continue;
    if (node.kind === "Field") into.set(node.alias?.value ?? node.name.value, node);
    else if (node.kind === "FragmentSpread") collect(fragments[node.name.value].selectionSet.selections, fragments, variables, into);
    else throw new Error(`this judge does not know ${node.kind}`);
  }
  return into;
}

function check(type, value, node, path, context, found) {
  if (graphql.isNonNullType(type)) {
    if (value === null || value === undefined) return found.push(`${path} is null, the schema requires ${type}`);
    return check(type.ofType, value, node, path, context, found);
  }
  if (value === null) return undefined;
  if (graphql.isListType(type)) {
    if (!Array.isArray(value)) return found.push(`${path} is no list, the schema has ${type}`);
    return value.forEach((element, i) => check(type.ofType, element, node, `${path}[${i}]`, context, found));
  }
  if (graphql.isEnumType(type)) {
    if (!type.getValue(value)) found.push(`${path} is ${JSON.stringify(value)}, no value of ${type}`);
    return undefined;
  }
  if (graphql.isScalarType(type)) {
    const rule = SCALARS[type.name];
    if (!rule) return found.push(`${path}: this judge has no rule for the scalar ${type}`);
    if (!rule(value)) found.push(`${path} is ${JSON.stringify(value)}, no ${type}`);
    return undefined;
  }
  if (typeof value !== "object" || Array.isArray(value)) return found.push(`${path} is no object, the schema has ${type}`);
  return object(type, value, node.selectionSet.selections, path, context, found);
}

function object(type, value, selections, path, context, found) {
  const asked = collect(selections, context.fragments, context.variables);
  for (const key of Object.keys(value)) {
    if (!asked.has(key)) found.push(`${path}.${key} was not selected`);
  }
  for (const [key, node] of asked) {
    if (!(key in value)) {
      found.push(`${path}.${key} was selected and is not there`);
      continue;
    }
    const field = type.getFields?.()[node.name.value];
    if (!field) found.push(`${path}.${key}: ${type} has no such field`);
    else check(field.type, value[key], node, `${path}.${key}`, context, found);
  }
}

/** What is wrong with one exchange. */
function exchange({ query, variables = {}, response }) {
  const found = [];
  const document = graphql.parse(query);
  found.push(...graphql.validate(schema, document).map((e) => e.message));
  const operation = document.definitions.find((d) => d.kind === "OperationDefinition");
  const fragments = Object.fromEntries(
    document.definitions.filter((d) => d.kind === "FragmentDefinition").map((d) => [d.name.value, d]),
  );
  const coerced = graphql.getVariableValues?.(schema, operation.variableDefinitions, variables)
    ?? require("graphql/execution/values").getVariableValues(schema, operation.variableDefinitions, variables);
  found.push(...(coerced.errors ?? []).map((e) => e.message));
  if (response?.data) {
    const root = operation.operation === "mutation" ? schema.getMutationType() : schema.getQueryType();
    object(root, response.data, operation.selectionSet.selections, "data", { fragments, variables }, found);
  } else if (response && !Array.isArray(response.errors) && !text(response.errors)) {
    found.push("the answer has neither data nor errors");
  }
  return { name: operation.name?.value, found };
}

// ---------------------------------------------------------------- teeth

function teeth() {
  const query = "query Order($id: ID!) { order(id: $id) { id updatedAt displayFinancialStatus tags } }";
  const good = { order: { id: "gid://shopify/Order/1", updatedAt: "2026-11-21T00:00:00Z", displayFinancialStatus: "PAID", tags: [] } };
  const ask = (data, variables = { id: "1" }, text = query) => exchange({ query: text, variables, response: { data } }).found.length;
  const change = (fields) => ({ order: { ...good.order, ...fields } });
  const without = ({ tags, ...rest }) => rest;
  const cases = [
    [0, ask(good)],
    [0, ask({ order: null })],
    [1, ask(change({ updatedAt: "yesterday" }))],
    [1, ask(change({ displayFinancialStatus: "paid" }))],
    [1, ask(change({ tags: [null] }))],
    [1, ask(change({ id: null }))],
    [1, ask(change({ name: "#1001" }))],
    [1, ask({ order: without(good.order) })],
    [1, ask(good, {})],
    [1, ask({ order: { id: "1" } }, { id: "1" }, "query Order($id: ID!) { order(id: $id) { id } } fragment X on Order { financialState }") > 0 ? 1 : 0],
  ];
  return cases.flatMap(([must, is], i) => (must === is ? [] : [`tooth ${i + 1} finds ${is}, must find ${must}`]));
}

let [passed, failed] = [0, 0];
const result = (name, found) => {
  if (found.length === 0) passed += 1;
  else {
    failed += 1;
    [...new Set(found)].slice(0, 10).forEach((why) => console.log(`FAILED ${name}: ${why}`));
  }
};

result("the judge's own teeth", teeth());
const names = [];
for (const file of readdirSync(folder).filter((f) => f.endsWith(".graphql"))) {
  const document = graphql.parse(readFileSync(join(folder, file), "utf8"));
  names.push(document.definitions[0].name.value);
  result(file, graphql.validate(schema, document).map((e) => e.message));
}
const seen = new Map();
for (const file of recordings) {
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
  result(file, lines.length > 0 ? [] : ["it holds nothing"]);
  for (const line of lines) {
    const { name, found } = exchange(line);
    seen.set(name, (seen.get(name) ?? 0) + 1);
    result(`${name} in ${file}`, found);
  }
}
if (recordings.length > 0) {
  const list = [...seen].map(([name, n]) => `${name} ${n}`).join(", ");
  console.log(`answers: ${list}; never asked: ${names.filter((n) => !seen.has(n)).join(", ") || "none"}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
