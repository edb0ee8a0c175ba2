#!/bin/bash
# Starts a streaming replica: copies the primary when the volume is empty, then serves read-only.
set -euo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  install -d -m 0700 -o postgres -g postgres "$PGDATA"
  until PGPASSWORD="$REPLICATION_PASSWORD" gosu postgres pg_basebackup -D "$PGDATA" -X stream -c fast -R \
    -d "host=postgres port=5432 user=replicator"; do
    echo "waiting for the primary" >&2
    rm -rf "${PGDATA:?}"/*
    sleep 2
  done
  # -R does not write a password that came from the environment.
  echo "primary_conninfo = 'host=postgres port=5432 user=replicator password=$REPLICATION_PASSWORD application_name=replica'" \
    >>"$PGDATA/postgresql.auto.conf"
fi
exec docker-entrypoint.sh postgres -c config_file=/etc/postgresql/postgresql.conf -c hot_standby=on
