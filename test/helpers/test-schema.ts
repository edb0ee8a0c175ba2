export interface TestSchema {
  readonly schemaName?: string;
  readonly extensionSchemaName?: string;
}

/**
 * The schema names that this run is to use, from `TEST_SCHEMA` and `TEST_EXTENSION_SCHEMA`; spread it into a store's
 * configuration. Creates nothing.
 */
export function testSchema(): TestSchema {
  const schemaName = process.env["TEST_SCHEMA"];
  const extensionSchemaName = process.env["TEST_EXTENSION_SCHEMA"];
  return { ...(schemaName ? { schemaName } : {}), ...(extensionSchemaName ? { extensionSchemaName } : {}) };
}
