/**
 * Compiles `sql/` into `src/schema/migrations.generated.ts`, so that the package needs no files at run time and works
 * in bundles. `--check` fails when the module is out of date.
 */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const target = join(root, "src/schema/migrations.generated.ts");

function folder(name: string): string {
  const files = readdirSync(join(root, "sql", name)).sort();
  const entries = files.map((file, index) => {
    const revision = index + 1;
    if (!file.startsWith(`${String(revision).padStart(4, "0")}-`)) {
      throw new Error(`sql/${name}/${file} should start with ${String(revision).padStart(4, "0")}-`);
    }
    const text = readFileSync(join(root, "sql", name, file), "utf8");
    const breaking = text.startsWith("-- breaking");
    return `  { revision: ${revision}, breaking: ${breaking}, name: ${JSON.stringify(file.replace(/\.sql$/, ""))}, sql: ${JSON.stringify(text)} },`;
  });
  return `[\n${entries.join("\n")}\n]`;
}

const module = `// Generated from sql/ by scripts/generate-migrations.ts. Do not edit.
export interface Migration {
  readonly revision: number;
  /** Whether a library that does not know this revision must refuse to work on it. */
  readonly breaking: boolean;
  readonly name: string;
  /** The SQL, with {{names}} for the identifiers of one store. */
  readonly sql: string;
}

export const REGISTRY_SQL = ${JSON.stringify(readFileSync(join(root, "sql/registry.sql"), "utf8"))};

/** Turns row-level security on for one table that has a tenant_id. */
export const TENANCY_SQL = ${JSON.stringify(readFileSync(join(root, "sql/tenancy.sql"), "utf8"))};

/** A function that indexes texts, with {{names}} for what differs between its uses. */
export const LEXICAL_INDEX_SQL = ${JSON.stringify(readFileSync(join(root, "sql/lexical-index.sql"), "utf8"))};

export const CHUNKS_MIGRATIONS: readonly Migration[] = ${folder("chunks")};

export const COLLECTIONS_MIGRATIONS: readonly Migration[] = ${folder("collections")};

export const LOADS_MIGRATIONS: readonly Migration[] = ${folder("loads")};

export const SOURCES_MIGRATIONS: readonly Migration[] = ${folder("sources")};

export const MESSAGES_MIGRATIONS: readonly Migration[] = ${folder("messages")};

export const TENANTS_MIGRATIONS: readonly Migration[] = ${folder("tenants")};

export const BACKFILLS_MIGRATIONS: readonly Migration[] = ${folder("backfills")};

export const LEXICAL_MIGRATIONS: readonly Migration[] = ${folder("lexical")};
`;

if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== module) {
    process.stderr.write("src/schema/migrations.generated.ts is out of date: run npm run generate\n");
    process.exit(1);
  }
} else {
  writeFileSync(target, module);
}
