import { quoteIdentifier, quoteQualified } from "../db/identifiers.js";
import { ConfigurationError, SchemaDriftError } from "../errors.js";
import type { SchemaState } from "./inspect.js";
import type { Layout } from "./layout.js";
import type { PlanOptions, SchemaStep } from "./plan.js";
import { promoteSql, type PromotedKey } from "./promoted-keys.js";

/** SQL that gives a table which has just been made, and has no rows, the columns of the layout's promoted keys. */
export function promotedSql(state: SchemaState, layout: Layout): string {
  return promoteSql({ schema: state.schema, table: layout.table }, layout.columns.metadata, layout.promotedKeys);
}

/**
 * Promotes keys of a table that is there, and demotes others.
 *
 * @throws ConfigurationError when a key has a column of another type; and, unless `rewrite` is set, when the table has
 * rows, since then adding a column writes all of it again under an exclusive lock.
 * @throws SchemaDriftError when a column of the name is there that is not the key's.
 */
export function planPromotedKeys(state: SchemaState, layout: Layout, options: PlanOptions): SchemaStep[] {
  if (!state.chunks.exists) return [];
  const recorded = new Map(state.promotedKeys.map((promoted) => [promoted.key, promoted]));
  const missing = layout.promotedKeys.filter((wanted) => !isRecorded(wanted, recorded.get(wanted.key), layout));
  checkColumnsFree(missing, state, layout);
  const steps = (options.demote ?? []).flatMap((key) => {
    const promoted = recorded.get(key);
    return promoted === undefined ? [] : [demoteStep(promoted, state, layout)];
  });
  if (missing.length === 0) return steps;
  const size = state.chunksSize ?? { rows: 0, total: 0 };
  const flags = missing.map(({ key, type }) => `--promote ${shellWord(`${key}:${type}`)}`).join(" ");
  const mebibytes = `${(size.total / 2 ** 20).toFixed(1)} MiB`;
  if (size.rows > 0 && !options.rewrite) {
    throw new ConfigurationError(
      `promotedKeys: the table ${JSON.stringify(layout.table)} has rows and no column for ` +
        `${missing.map(({ key }) => JSON.stringify(key)).join(", ")}. Adding one writes the table and all its indexes again ` +
        `(${mebibytes}) under a lock that searches wait for. As the owner, at a quiet time, run: ` +
        `npx langchain-pgvector init --table ${shellWord(layout.table)} ${flags} --rewrite (add --plan to see the SQL first). ` +
        "Until then leave the option out; filters on such keys work, by the JSON.",
    );
  }
  const warning =
    size.rows === 0
      ? ""
      : `-- writes the table and all its indexes again, ${mebibytes}; reads and writes wait until it is done;\n` +
        "-- without vector indexes, which can be built again online afterwards, that takes a fraction of the time\n" +
        "set local statement_timeout = 0;";
  const name = `promote ${missing.map(({ key }) => key).join(", ")}`;
  return [...steps, { name, sql: warning + promotedSql(state, { ...layout, promotedKeys: missing }), flags }];
}

function isRecorded(wanted: PromotedKey, found: PromotedKey | undefined, layout: Layout): boolean {
  if (found === undefined) return false;
  if (found.type === wanted.type) return true;
  const [key, table] = [shellWord(wanted.key), shellWord(layout.table)];
  throw new ConfigurationError(
    `promotedKeys: ${JSON.stringify(wanted.key)} is ${JSON.stringify(wanted.type)} here and ${JSON.stringify(found.type)} in the ` +
      `table ${JSON.stringify(layout.table)}. Write "${found.type}", or leave the option out; to change the table, run as the ` +
      `owner: npx langchain-pgvector init --table ${table} --demote ${key}, and promote it again.`,
  );
}

/** @throws SchemaDriftError when a column that a promoted key would get is there, and is another's. */
export function checkColumnsFree(keys: readonly PromotedKey[], state: SchemaState, layout: Layout): void {
  const taken = keys.find(({ column }) => state.chunks.columns.has(column));
  if (taken === undefined) return;
  throw new SchemaDriftError(
    `The table ${JSON.stringify(layout.table)} has a column ${JSON.stringify(taken.column)} that is not the promoted key's ` +
      `${JSON.stringify(taken.key)}. Rename or drop it, or leave the key out of promotedKeys.`,
  );
}

function demoteStep({ key, column }: PromotedKey, state: SchemaState, layout: Layout): SchemaStep {
  const table = quoteQualified(state.schema, layout.table);
  return { name: `demote ${key}`, sql: `alter table ${table} drop column ${quoteIdentifier(column)};\n` };
}

/** A word of a command line, for messages that show one. */
function shellWord(text: string): string {
  return /^[\w.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
