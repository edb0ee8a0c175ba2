import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import * as container from "../helpers/container.js";

interface Service {
  readonly profiles?: string[];
  readonly image: string;
  readonly ports: string[];
  readonly environment: Record<string, string>;
  readonly command: string[];
  readonly volumes: string[];
  readonly shm_size: string;
  readonly healthcheck: { readonly test: string[]; readonly retries: number };
}

const root = fileURLToPath(new URL("../../", import.meta.url));
const compose = parse(readFileSync(`${root}docker-compose.yml`, "utf8")) as {
  readonly services: { readonly postgres: Service; readonly replica: Service; readonly pgbouncer: Service };
  readonly volumes: Record<string, unknown>;
};
const service = compose.services.postgres;
const settings = readFileSync(container.settingsPath, "utf8");

/** Host path or volume name by the path inside the container. */
const mounts = new Map(
  service.volumes.map((volume) => {
    const [source = "", target = ""] = volume.split(":");
    return [target, source] as const;
  }),
);

describe("docker-compose.yml says what the test container does", () => {
  test("image", () => {
    expect(service.image).toBe(container.containerImage);
    expect(service.image).toMatch(/^pgvector\/pgvector:\d+\.\d+\.\d+-pg18-\w+$/);
  });

  test("port, published on loopback only", () => {
    expect(service.ports).toEqual([`127.0.0.1:5432:${container.containerPort}`]);
  });

  test("command, with the settings file", () => {
    expect(service.command).toEqual(container.containerCommand);
    expect(mounts.get(container.containerSettingsFile)).toBe("./docker/postgresql.conf");
    expect(container.settingsPath).toBe(`${root}docker/postgresql.conf`);
  });

  test("init files", () => {
    expect(mounts.get(container.containerInitFolder)).toBe("./docker/init");
    expect(container.initFolder).toBe(`${root}docker/init`);
  });

  test("shared memory", () => {
    expect(bytes(service.shm_size)).toBe(container.containerSharedMemory);
  });
});

describe("docker-compose.yml serves", () => {
  test("every bind mount exists, and the data volume is where the image of version 18 keeps its data", () => {
    const bound = [...mounts.values()].filter((source) => source.startsWith("./"));
    expect(bound.filter((source) => !existsSync(`${root}${source}`))).toEqual([]);
    const volume = mounts.get("/var/lib/postgresql");
    expect(Object.keys(compose.volumes)).toEqual([volume, "replica-data"]);
  });

  test("a health check that waits for the final server", () => {
    expect(service.healthcheck.test.join(" ")).toMatch(/pg_isready -h 127\.0\.0\.1/);
    expect(service.healthcheck.retries).toBeGreaterThan(0);
  });

  test("development passwords that ask to be changed and can be", () => {
    expect(service.environment["POSTGRES_PASSWORD"]).toBe("${POSTGRES_PASSWORD:-change-me}");
    expect(service.environment["RAG_APP_PASSWORD"]).toMatch(/^\$\{RAG_APP_PASSWORD:-change-me/);
  });

  test("enough /dev/shm for a parallel build of maintenance_work_mem", () => {
    expect(bytes(setting("maintenance_work_mem"))).toBeLessThanOrEqual(bytes(service.shm_size));
  });
});

describe("the profile with a replica", () => {
  const { replica, pgbouncer } = compose.services;

  test("runs only when it is asked for, on loopback, with the primary's image and settings", () => {
    for (const extra of [replica, pgbouncer]) {
      expect(extra.profiles).toEqual(["replicated"]);
      for (const port of extra.ports) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
    expect(service.profiles).toBeUndefined();
    expect(replica.image).toBe(service.image);
    expect(replica.shm_size).toBe(service.shm_size);
    expect(replica.environment["REPLICATION_PASSWORD"]).toBe(service.environment["REPLICATION_PASSWORD"]);
  });

  test("mounts files that are there, and scripts that can be executed", () => {
    const sources = [...replica.volumes, ...pgbouncer.volumes].map((volume) => volume.split(":")[0]!);
    const bound = sources.filter((source) => source.startsWith("./"));
    expect(bound.filter((source) => !existsSync(`${root}${source}`))).toEqual([]);
    for (const script of ["docker/replica.sh", "docker/init/50-replication.sh"]) {
      expect(statSync(`${root}${script}`).mode & 0o111).toBe(0o111);
    }
  });

  test("pools by transaction, with statements kept by name", () => {
    const ini = readFileSync(`${root}docker/pgbouncer.ini`, "utf8");
    expect(ini).toMatch(/^pool_mode = transaction$/m);
    expect(ini).toMatch(/^max_prepared_statements = [1-9]/m);
    expect(ini).toMatch(/^langchain_replica = host=replica /m);
  });
});

describe("docker/", () => {
  test("the settings cover vector work and load pg_stat_statements", () => {
    for (const name of ["shared_buffers", "effective_cache_size", "max_parallel_maintenance_workers"]) {
      expect(setting(name)).not.toBe("");
    }
    expect(setting("shared_preload_libraries")).toBe("pg_stat_statements");
    expect(Number(setting("random_page_cost"))).toBeLessThan(4);
  });

  test("the init files run in order, and the shell script can be executed", () => {
    const files = readdirSync(container.initFolder);
    expect(files.toSorted()).toEqual([
      "10-extensions.sql",
      "20-roles.sql",
      "30-privileges.sql",
      "40-app-password.sh",
      "50-replication.sh",
    ]);
    expect(statSync(`${container.initFolder}/40-app-password.sh`).mode & 0o111).toBe(0o111);
  });

  test("no SQL file holds a password", () => {
    const files = readdirSync(container.initFolder).filter((name) => name.endsWith(".sql"));
    const telling = files.filter((file) =>
      /password\s+'/i.test(readFileSync(`${container.initFolder}/${file}`, "utf8")),
    );
    expect(telling).toEqual([]);
  });
});

/** Value of a setting in docker/postgresql.conf, without its quotes. */
function setting(name: string): string {
  const line = new RegExp(`^${name}\\s*=\\s*'?([^'#\\n]*?)'?\\s*$`, "m").exec(settings);
  if (line?.[1] === undefined) throw new Error(`docker/postgresql.conf does not set ${name}`);
  return line[1];
}

function bytes(size: string): number {
  const [, count, unit] = /^(\d+)\s*([kmg])b?$/i.exec(size) ?? [];
  if (unit === undefined) throw new Error(`"${size}" is not a size`);
  return Number(count) * 1024 ** (1 + "kmg".indexOf(unit.toLowerCase()));
}
