#!/bin/sh
# Process 1 of the prometheus container: fills in the host's public name and runs Prometheus.
# POSIX sh and what BusyBox has: the image has nothing else. The program gives no way to fill in a target's parameters.
set -eu

readonly SOURCE="${PROMETHEUS_SOURCE:-/etc/wearon/prometheus/prometheus.yml}" # tests name others
readonly RENDERED="${PROMETHEUS_RENDERED:-/run/prometheus/prometheus.yml}"    # in a tmpfs (compose/services.yml)
readonly RETENTION_TIME=15d
# The disk's share (docs/operations.md); 15 days of a worker at 300 a minute take less than half of it.
readonly RETENTION_SIZE=2GB
readonly EXIT_CONFIGURATION=78 # EX_CONFIG of sysexits.h: nothing to try again, somebody has to act

case "${DOMAIN-}" in
  '' | *[!a-z0-9.-]*)
    echo "DOMAIN in .env must be a plain host name in lower case, such as worker.example.com." >&2
    exit "$EXIT_CONFIGURATION"
    ;;
esac

sed "s|\${DOMAIN}|$DOMAIN|g" "$SOURCE" >"$RENDERED"
exec "${PROMETHEUS_BINARY:-/bin/prometheus}" \
  --config.file="$RENDERED" \
  --storage.tsdb.path="${PROMETHEUS_DATA:-/prometheus}" \
  --storage.tsdb.retention.time="$RETENTION_TIME" \
  --storage.tsdb.retention.size="$RETENTION_SIZE" \
  --web.listen-address="${PROMETHEUS_LISTEN:-:9090}" \
  --log.format=json
