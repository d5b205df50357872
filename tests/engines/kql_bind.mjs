// Binds and types KQL with Microsoft's own language service; closed world, no network.
//   node kql_bind.mjs PACKAGE_FOLDER < request.json > answer.json
// request: {tables: {name: {column: type}}, functions: {name: [parameters, body]},
//           texts: {key: {text, parameters: {name: type}}}, literals: [expression]}
// answer:  {texts: {key: {errors: [..], columns: {name: type}}}, literals: [value or null]}
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const load = createRequire(path.join(path.resolve(process.argv[2]), 'here.js'));
load('@kusto/language-service-next/bridge.min.js'); // defines globalThis.Bridge, then .Kusto
load('@kusto/language-service-next/Kusto.Language.Bridge.min.js');
const Kusto = globalThis.Kusto.Language;
const Symbols = Kusto.Symbols;

const request = JSON.parse(readFileSync(0, 'utf8'));
const ZERO = {
  string: "''", datetime: 'datetime(null)', bool: 'false', int: 'int(null)', long: 'long(null)',
  dynamic: 'dynamic([])', real: 'real(null)',
};
const columns = (row) => `(${Object.entries(row).map(([name, type]) => `${name}:${type}`).join(', ')})`;
// names of constructors are generated: the package's version is pinned, and a test asks for known faults
const members = Object.entries(request.tables ?? {}).map(
  ([name, row]) => new Symbols.TableSymbol.$ctor7(name, columns(row), null));
for (const [name, [parameters, body]] of Object.entries(request.functions ?? {}))
  members.push(new Symbols.FunctionSymbol.$ctor16(name, parameters, body, null));
const globals = Kusto.GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor('workspace', members));

function bind({ text, parameters }) {
  const lead = Object.entries(parameters ?? {}).map(([name, type]) => `let ${name} = ${ZERO[type]};`).join('');
  const code = Kusto.KustoCode.ParseAndAnalyze(lead + text, globals);
  const found = { errors: [], columns: {} };
  const diagnostics = code.GetDiagnostics();
  for (let at = 0; at < diagnostics.Count; at++) {
    const one = diagnostics.getItem(at);
    if (one.Severity !== 'Error') continue;
    const start = Math.max(0, one.Start - lead.length);
    found.errors.push(`${one.Code} ${one.Message} at ${text.slice(0, start).split('\n').length}: ${text.slice(start, start + 60)}`);
  }
  const result = code.ResultType?.Columns;
  for (let at = 0; result && at < result.Count; at++)
    found.columns[result.getItem(at).Name] = result.getItem(at).Type.Name;
  return found;
}

function value(literal) {
  const code = Kusto.KustoCode.ParseAndAnalyze(`print ${literal}`, globals);
  if (code.GetDiagnostics().Count) return null;
  let found = null;
  Kusto.Syntax.SyntaxElement.WalkNodes(code.Syntax, (node) => {
    if (node.Kind === Kusto.Syntax.SyntaxKind.StringLiteralExpression) found = node.LiteralValue;
  });
  return found;
}

const answer = { texts: {}, literals: (request.literals ?? []).map(value) };
for (const [key, one] of Object.entries(request.texts ?? {})) answer.texts[key] = bind(one);
process.stdout.write(JSON.stringify(answer));
