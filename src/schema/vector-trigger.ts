import { quoteIdentifier, quoteLiteral, quoteQualified, shortenName } from "../db/identifiers.js";

/** The setting in which a writer names, as a JSON array, the vector columns that it supplies with each content. */
export const SUPPLIED_SETTING = "langchain_pgvector.supplied";
const TRIGGER = "langchain_pgvector_vectors";

export interface VectorTrigger {
  readonly schema: string;
  readonly table: string;
  /** Column of the content. */
  readonly content: string;
  /** Embedding columns of all versions. */
  readonly columns: readonly string[];
  /** Where pgvector's operators are. */
  readonly extensionSchema: string;
}

/** The function behind the trigger, quoted and qualified, without its parentheses. */
export function vectorTriggerFunction(schema: string, table: string): string {
  return quoteQualified(schema, shortenName(`${table}_vectors`));
}

/**
 * SQL that has every update of a content take away the vectors that did not come with it, whoever writes: a vector in the
 * table is always one of the text beside it. A writer that names a column in {@link SUPPLIED_SETTING} has supplied it;
 * otherwise a vector that stays as it was is one that was not.
 */
export function vectorTriggerSql(trigger: VectorTrigger): string {
  const { schema, table, content } = trigger;
  const on = quoteQualified(schema, table);
  const text = quoteIdentifier(content);
  return (
    `\n${vectorFunctionSql(trigger)}` +
    `create trigger ${TRIGGER} before update of ${text} on ${on} for each row\n` +
    `  when (old.${text} is distinct from new.${text}) execute function ${vectorTriggerFunction(schema, table)}();\n`
  );
}

/** SQL that has the trigger look after these columns. */
export function vectorFunctionSql({ schema, table, columns, extensionSchema }: VectorTrigger): string {
  const body = columns
    .map((column) => {
      const name = quoteIdentifier(column);
      return (
        `  if not supplied ? ${quoteLiteral(column)} and new.${name} is not distinct from old.${name} then\n` +
        `    new.${name} := null;\n  end if;\n`
      );
    })
    .join("");
  const text = `
declare
  supplied jsonb := coalesce(nullif(current_setting('${SUPPLIED_SETTING}', true), ''), '[]')::jsonb;
begin
${body}  return new;
end`;
  return (
    `create or replace function ${vectorTriggerFunction(schema, table)}() returns trigger language plpgsql\n` +
    `  set search_path = pg_catalog, ${quoteIdentifier(extensionSchema)}, pg_temp as ${quoteLiteral(text)};\n`
  );
}
