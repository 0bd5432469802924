# shellcheck shell=bash
# Every path, name and number that two scripts, or two runs of one script, must agree on. Sourced by lib/all.sh first.
# Those that begin with WEARON_ can be set in the environment; tests do, and so can a host that is laid out otherwise.
# shellcheck disable=SC2034  # used by the scripts that source this file

# --- The host's directory -------------------------------------------------------------------------------------------

readonly WEARON_HOME="${WEARON_HOME:-/opt/wearon}" # the bundle, .env and release.env (story 6.1)
readonly COMPOSE_FILE_NAME=docker-compose.prod.yml # as typed in $WEARON_HOME (ADR-6)
readonly PLAIN_COMPOSE_NAME=compose.yaml           # a link to it, which Compose finds by itself: `docker compose ps`
readonly ENV_FILE="$WEARON_HOME/.env"              # the operator's settings, 0600 root (Pattern 7, NFR-3.3)
readonly RELEASE_FILE="$WEARON_HOME/release.env"   # one line, WORKER_TAG=...: the tag in force
readonly VERSIONS_FILE="$WEARON_HOME/versions.env" # the pinned images
readonly HISTORY_FILE="$WEARON_HOME/deploys.log"   # one line per deploy: time, tag, digest (ADR 0117)
readonly MIGRATIONS_FILE="$WEARON_HOME/migrations.log" # the last migration that the database has had from here
readonly BACKUP_DIRECTORY="$WEARON_HOME/backups"
readonly METRICS_DIRECTORY="$WEARON_HOME/metrics" # read by node-exporter's textfile collector

# What first-deploy copies and a bundle replaces; everything else in $WEARON_HOME is the host's own.
readonly BUNDLE_PARTS=(
  docker-compose.prod.yml versions.env CHANGELOG.md compose nginx redis scripts supabase
  monitoring/alloy monitoring/blackbox monitoring/docker-socket monitoring/grafana monitoring/loki monitoring/prometheus
)

readonly OPERATORS_COMMAND="${WEARON_COMMAND_DIRECTORY:-/usr/local/bin}/wearon" # docs/operating.md
readonly CRON_FILE="${WEARON_CRON_DIRECTORY:-/etc/cron.d}/wearon"

# --- Names in Docker ------------------------------------------------------------------------------------------------

readonly PROJECT=wearon # docker-compose.prod.yml says the same
readonly WORKER_SERVICE=worker
readonly REDIS_SERVICE=redis
readonly NGINX_SERVICE=nginx
readonly CERTBOT_SERVICE=certbot
readonly GRAFANA_SERVICE=grafana
readonly BRIDGE_SERVICE=grafana-whatsapp-webhook
readonly SERVING_SERVICES=("$REDIS_SERVICE" "$WORKER_SERVICE" "$NGINX_SERVICE") # the others only watch these

# --- Certificates ---------------------------------------------------------------------------------------------------

readonly CERTIFICATES_IN_CONTAINER=/etc/letsencrypt
readonly WEBROOT_IN_CONTAINER=/var/www/acme
readonly CERTIFICATE_OWNER=101:101 # nginx's uid, which certbot has as well, so that no key belongs to root
readonly ACME_SERVER="${WEARON_ACME_SERVER:-https://acme-v02.api.letsencrypt.org/directory}"
readonly ACME_STAGING_SERVER="${WEARON_ACME_STAGING_SERVER:-https://acme-staging-v02.api.letsencrypt.org/directory}"
readonly NGINX_START=/etc/wearon/nginx/start.sh # in nginx's container: `start.sh reload` renders, tests and reloads

# --- Times, in seconds ----------------------------------------------------------------------------------------------

readonly REPORT_EVERY_SECONDS=10                      # a person who waits sees a line this often
readonly POLL_SECONDS="${WEARON_POLL_SECONDS:-1}"     # between two looks at what is waited for
readonly HEALTHY_WITHIN_SECONDS="${WEARON_HEALTHY_WITHIN_SECONDS:-180}" # a new worker: model, Redis, Supabase; 60 s by story 6.2, and a slow pull of nothing
readonly STOP_WITHIN_SECONDS=430                      # its own grace is 400 s (stop_grace_period), and Docker's kill after it
readonly PUBLIC_ANSWER_WITHIN_SECONDS="${WEARON_PUBLIC_ANSWER_WITHIN_SECONDS:-60}" # https://DOMAIN/health after everything is up
readonly LOCK_WITHIN_SECONDS="${WEARON_LOCK_WITHIN_SECONDS:-0}" # how long a script waits for another that runs

# --- Amounts --------------------------------------------------------------------------------------------------------

readonly KEPT_WORKER_TAGS=3 # for a rollback without a registry; about 0.5 GB each
readonly KEPT_BACKUPS="${WEARON_KEPT_BACKUPS:-14}" # two weeks of daily ones

# --- Exit statuses --------------------------------------------------------------------------------------------------

readonly EXIT_USAGE=2  # called in a wrong way
readonly EXIT_FAILED=3 # refused or failed, and said why (lib/messages.sh)
