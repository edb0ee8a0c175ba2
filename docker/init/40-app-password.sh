#!/bin/bash
# The application's login gets its password from the environment, so that no SQL file holds one.
set -euo pipefail
if [ -n "${RAG_APP_PASSWORD:-}" ]; then
  psql -v ON_ERROR_STOP=1 -v password="$RAG_APP_PASSWORD" -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
    <<<"alter role rag_app password :'password';"
fi
