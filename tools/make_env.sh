#!/usr/bin/env bash
# Write .env with random secrets for docker-compose.yml. One that exists is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -e .env ]]; then
  echo ".env exists and is left alone; delete it for new secrets (and the volumes made with it)"
  exit 0
fi
secret() { head -c "$1" /dev/urandom | base64 | tr -d '\n=' | tr '+/' '-_'; }

umask 077
cat > .env <<END
POSTGRES_PASSWORD=$(secret 24)
LEDGER_PASSWORD=$(secret 24)
REDIS_PASSWORD=$(secret 24)
GRAFANA_PASSWORD=$(secret 12)
PLANNER_METRICS_TOKEN=$(secret 24)
AIRFLOW_FERNET_KEY=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')
AIRFLOW_SECRET_KEY=$(secret 48)
AIRFLOW_JWT_SECRET=$(secret 64)
END
echo "wrote .env; now: docker compose up --build --detach --wait"
