import { quoteIdentifier } from "../../db/identifiers.js";
import { LangChainPgvectorError } from "../../errors.js";
import { lexicalTables } from "../../schema/lexical.js";
import { planSchema } from "../../schema/plan.js";
import type { SchemaState } from "../../schema/inspect.js";
import { columnWithoutDimensions } from "../../store/explain/search-findings.js";
import { finding, fixable, type DoctorFinding } from "../../store/finding.js";
import { storeOf, type Snapshot, type StoreSnapshot } from "./snapshot.js";

/** The triggers of sql/lexical; without one of them words and rows drift apart. */
const LEXICAL_TRIGGERS = ["add", "change", "remove", "empty"].map((name) => `langchain_pgvector_lexical_${name}`);

/** Whether the schema is what this library made, completely. No I/O. */
export function checkSchema(snapshot: Snapshot): DoctorFinding[] {
  const { state, layout } = snapshot;
  const init = `npx langchain-pgvector init --table ${layout.table} --plan`;
  if (!state.chunks.exists || state.activeModel === undefined) {
    const evidence = `There is no table ${JSON.stringify(layout.table)} of this library in the schema ${JSON.stringify(state.schema)}.`;
    return [finding("schema-missing", "error", layout.table, evidence, "npx langchain-pgvector init")];
  }
  const store = storeOf(snapshot);
  return [...pending(snapshot, init), ...(store === undefined ? [] : storeFindings(store))];
}

function pending({ state, layout }: Snapshot, init: string): DoctorFinding[] {
  try {
    const steps = planSchema(layout.tenancy === "rls" ? securedState(state) : state, layout, state.activeModel!).filter(
      ({ name }) => name !== "grants",
    );
    if (steps.length === 0) return [];
    const names = steps.map(({ name }) => name).join(", ");
    return [
      finding(
        "schema-pending",
        "error",
        layout.table,
        `The schema of ${JSON.stringify(layout.table)} is not current; pending: ${names}.`,
        init,
      ),
    ];
  } catch (error) {
    if (!(error instanceof LangChainPgvectorError)) throw error;
    return [finding("schema-drift", "error", layout.table, error.message, init)];
  }
}

/** Row-level security that is off or not forced is the linter's to report. */
function securedState(state: SchemaState): SchemaState {
  return {
    ...state,
    chunks: secured(state.chunks),
    collections: secured(state.collections),
    loads: secured(state.loads),
    lexical: secured(state.lexical),
  };
}

function secured<T extends SchemaState["chunks"] | undefined>(relation: T): T {
  return relation === undefined ? relation : { ...relation, rowSecurity: true };
}

function storeFindings(store: StoreSnapshot): DoctorFinding[] {
  const { state, layout, model, tables } = store;
  const chunks = tables.find(({ relation }) => relation === layout.table);
  const type = state.chunks.columns.get(model.column);
  const findings: DoctorFinding[] = [];
  if (type !== undefined && !type.replaceAll('"', "").endsWith(`${model.storageType}(${model.dimensions})`)) {
    findings.push(columnWithoutDimensions(store.table, model.column, type, model));
  }
  if (chunks !== undefined && !chunks.primaryKey) {
    findings.push(
      finding(
        "primary-key-missing",
        "error",
        chunks.name,
        `${chunks.name} has no primary key: upserts fail, and every lookup by id reads the whole table.`,
        `alter table ${chunks.name} add primary key (tenant_id, collection, ${quoteIdentifier(layout.columns.id)});`,
      ),
    );
  }
  if (state.lexical !== undefined && chunks !== undefined) {
    for (const trigger of LEXICAL_TRIGGERS) {
      if (chunks.triggers.includes(trigger) && !chunks.disabledTriggers.includes(trigger)) continue;
      const off = chunks.disabledTriggers.includes(trigger);
      findings.push(
        finding(
          "trigger-missing",
          "error",
          `${trigger} on ${chunks.name}`,
          `The trigger ${trigger} on ${chunks.name} is ${off ? "disabled" : "missing"}: what is written meanwhile is not in the lexical index, ` +
            "and searches by words do not find it.",
          off
            ? `alter table ${chunks.name} enable trigger ${trigger};\n-- then index what was written meanwhile:\n${rebuild(layout.table)}`
            : `-- drop the index and make it anew:\ndrop table ${lexicalTables(layout.table).map(quoteIdentifier).join(", ")} cascade;\n${rebuild(layout.table)}`,
        ),
      );
    }
    if (state.lexical.settings.building) {
      findings.push(
        finding(
          "lexical-index-unfinished",
          "error",
          layout.table,
          `The lexical index of ${layout.table} was not finished, and searches by words are refused until it is.`,
          rebuild(layout.table),
        ),
      );
    }
  }
  return [...findings, ...grants(store)];
}

function rebuild(table: string): string {
  return `npx langchain-pgvector init --table ${table} --lexical`;
}

function grants({ tables, layout }: StoreSnapshot): DoctorFinding[] {
  if (layout.appRole === undefined) return [];
  const role = quoteIdentifier(layout.appRole);
  return tables
    .filter(({ partition, missingRights }) => !partition && missingRights.length > 0)
    .map(({ name, missingRights }) =>
      fixable(
        "grant-missing",
        "error",
        name,
        `The app role ${role} lacks ${missingRights.join(", ")} on ${name}, so calls of the application fail.`,
        `grant ${missingRights.join(", ")} on ${name} to ${role};`,
      ),
    );
}
