import { Document, type DocumentInterface } from "@langchain/core/documents";
import type { BaseRetrieverInterface } from "@langchain/core/retrievers";
import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { testSchema, type TestDatabase } from "./database.js";

export const FILMS = [
  { id: "shark", pageContent: "A shark hunts swimmers off a beach.", metadata: { genre: "thriller", year: 1975 } },
  {
    id: "whale",
    pageContent: "A whale and a boy become friends at the beach.",
    metadata: { genre: "family", year: 1993 },
  },
  { id: "space", pageContent: "A computer takes over a spaceship.", metadata: { genre: "drama", year: 1968 } },
  { id: "alien", pageContent: "An alien hunts the crew of a spaceship.", metadata: { genre: "thriller", year: 1979 } },
  {
    id: "robot",
    pageContent: "A lonely robot cleans the earth and finds a spaceship.",
    metadata: { genre: "family", year: 2008 },
  },
  { id: "heist", pageContent: "Thieves plan a robbery inside dreams.", metadata: { genre: "thriller", year: 2010 } },
];

export const filmEmbeddings = new OfflineEmbeddings({ dimensions: 128 });

let serial = 0;

/** A store of films, or of other documents, in a table of its own. */
export async function openFilms(
  database: TestDatabase,
  args: Partial<PostgresVectorStoreArgs> = {},
  films = FILMS,
): Promise<PostgresVectorStore> {
  serial += 1;
  return PostgresVectorStore.fromDocuments(
    films.map((film) => new Document(film)),
    filmEmbeddings,
    { pool: database.pool, tableName: `films_${serial}`, ...testSchema(), ...args },
  );
}

export function ids(documents: readonly DocumentInterface[]): (string | undefined)[] {
  return documents.map((document) => document.id);
}

/** Ids of what a retriever finds. */
export async function find(
  retriever: BaseRetrieverInterface,
  query = "hunts on a spaceship",
): Promise<(string | undefined)[]> {
  return ids(await retriever.invoke(query));
}
