// Documents (NDJSON on standard input) against the field list of npm @elastic/ecs: `node ecs_check.mjs MODULE`.
// Prints `LINE<TAB>path<TAB>problem` for each finding. Independent of the product's own extract.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { EcsFlat } = createRequire(import.meta.url)(process.argv[2]);
const OWN = new Set(['datto']);
const tests = {
  long: Number.isInteger, integer: Number.isInteger, float: Number.isFinite, scaled_float: Number.isFinite,
  boolean: (v) => typeof v === 'boolean', date: (v) => typeof v === 'string' && !Number.isNaN(Date.parse(v)),
  ip: (v) => typeof v === 'string' && /^[0-9a-f.:]+$/.test(v),
};

function one(path, value, field, out) {
  if (!(tests[field.type] ?? ((v) => typeof v === 'string'))(value)) out(path, `no ${field.type}: ${JSON.stringify(value)}`);
  else if (field.pattern && !new RegExp(field.pattern).test(value)) out(path, `pattern: ${value}`);
  else if (field.allowed_values?.length && !field.allowed_values.some((each) => each.name === value)) out(path, `not allowed: ${value}`);
}

function walk(prefix, node, out) {
  for (const [key, value] of Object.entries(node)) {
    const path = prefix ? `${prefix}.${key}` : key;
    if (!prefix && OWN.has(key)) continue;
    if (key.includes('.')) out(path, 'dotted key');
    if (value === null) { out(path, 'null'); continue; }
    const field = EcsFlat[path];
    if (typeof value === 'object' && !Array.isArray(value) && (!field || field.type === 'object')) {
      if (!Object.keys(value).length) out(path, 'empty object');
      walk(path, value, out);
      continue;
    }
    if (!field) { out(path, 'not in ECS'); continue; }
    const many = (field.normalize ?? []).includes('array');
    if (many !== Array.isArray(value)) { out(path, many ? 'must be a list' : 'must be one value'); continue; }
    for (const each of many ? value : [value]) one(path, each, field, out);
  }
}

function expected(document, out) {
  const { category = [], type = [] } = document.event ?? {};
  const known = EcsFlat['event.category'].allowed_values;
  const types = new Set(category.flatMap((name) => known.find((each) => each.name === name)?.expected_event_types ?? []));
  for (const each of type) if (!types.has(each)) out('event.type', `${each} is not expected of ${category}`);
  if (category.includes('network') && type.includes('protocol') && !document.network?.protocol) out('network.protocol', 'missing');
}

let line = 0;
for await (const text of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  line += 1;
  const out = (path, problem) => console.log(`${line}\t${path}\t${problem}`);
  const document = JSON.parse(text);
  if (!document['@timestamp']) out('@timestamp', 'missing');
  walk('', document, out);
  expected(document, out);
}
