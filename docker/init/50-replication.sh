#!/bin/bash
# The login that a standby streams as, when its password is given: `docker compose --profile replicated`.
set -euo pipefail
if [ -n "${REPLICATION_PASSWORD:-}" ]; then
  psql -v ON_ERROR_STOP=1 -v password="$REPLICATION_PASSWORD" -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
create role replicator login replication password :'password';
SQL
  echo "host replication replicator samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
fi
