#!/usr/bin/env bash
# Saves what this host alone knows (ADR 0119). `backup.sh --help` explains it.
set -Eeuo pipefail
# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

usage() {
  cat <<'HELP'
backup.sh [--dry-run]

Writes one archive (0600) to /opt/wearon/backups with: Redis (the broker, and the queue where none is hosted), .env,
release.env, the history of deploys, the certificates, and Grafana's database when there is one. Nothing is stopped;
Grafana alone pauses for a second. The last 14 are kept (WEARON_KEPT_BACKUPS). When it is done it writes the metric
wearon_backup_last_success_timestamp_seconds.

The archive holds every secret of the host, and lies on the same disk: copy it away, encrypted, for example
  age -r RECIPIENT -o latest.age /opt/wearon/backups/wearon-...tar
HELP
}

readonly COMMAND_WITHIN_SECONDS=900 # the lock is waited for: a deploy may drain for 430 s

# redis-cli tells on stderr how it gets on, also when all is well: shown only when it is not. Kept in memory, for on a full
# disk the words about it would be lost.
save_redis() {
  local words
  if words=$(compose exec -T "$REDIS_SERVICE" redis-cli --rdb - </dev/null 2>&1 >"$1/redis.rdb") &&
    [[ $(head -c 6 "$1/redis.rdb") == @(REDIS?|VALKEY) ]]; then
    return 0
  fi
  warn "redis-cli said: ${words:-nothing}"
  die "There is no whole copy of Redis' data. Is the disk full (df -h $WEARON_HOME)? Is Redis well (\`docker compose ps redis\` in $WEARON_HOME)? No backup was written."
}

save_files() {
  local file
  for file in "$ENV_FILE" "$RELEASE_FILE" "$HISTORY_FILE" "$MIGRATIONS_FILE"; do
    if [[ -e $file ]]; then cp -p "$file" "$1/"; fi
  done
}

save_certificates() {
  certbot_tool tar -C "$CERTIFICATES_IN_CONTAINER" -cf - . </dev/null >"$1/certificates.tar" ||
    die "The certificates could not be read; the words are above. No backup was written."
}

# Its database may be in the middle of a change: for the copy nothing in the container moves, so that the copy is what a
# machine that lost power would have, which SQLite repairs.
save_grafana() {
  local id copied=yes
  id=$(containers_of "$GRAFANA_SERVICE" | head -n 1)
  if [[ -n $id && $(container_state "$id") == paused* ]]; then # a backup was killed at the wrong moment
    docker unpause "$id" >/dev/null
  fi
  if [[ -z $id ]] || ! is_running "$id"; then return 0; fi
  trap '_end_unpaused "$id"' INT TERM HUP # bash waits for the command that runs, then comes here
  docker pause "$id" >/dev/null
  docker cp "$id:/var/lib/grafana/grafana.db" - >"$1/grafana.tar" || copied=no
  docker unpause "$id" >/dev/null
  trap - INT TERM HUP
  [[ $copied == yes ]] || die "Grafana's database could not be copied; Docker's words are above. Is the disk full (df -h $WEARON_HOME)? No backup was written."
}

_end_unpaused() {
  docker unpause "$1" >/dev/null || true # it may not have been paused yet
  die "This was ended while Grafana paused. Grafana goes on; no backup was written. Run this again."
}

keep_the_last() {
  local file
  while IFS= read -r file; do
    act "remove ${file##*/}, older than the last $KEPT_BACKUPS" rm -f "$file"
  done < <(find "$BACKUP_DIRECTORY" -name 'wearon-*.tar' | sort -r | tail -n +"$((KEPT_BACKUPS + 1))")
}

write_archive() { # write_archive DIRECTORY NAME
  (umask 077 && mkdir -p "$BACKUP_DIRECTORY")
  rm -f "$BACKUP_DIRECTORY"/.wearon-*.tar.?????? # of a write that was killed: each archive has a name of its own
  write_by_rename "$BACKUP_DIRECTORY/$2" 0600 tar -C "$1" -cf - . # a part of an archive would be taken for a backup
}

main() {
  local name
  parse_dry_run_or_help "$@"
  need_bundle
  if [[ $DRY_RUN == yes ]]; then
    say "would save Redis, .env, release.env, the certificates and Grafana's database to $BACKUP_DIRECTORY"
    return 0
  fi
  take_lock "$COMMAND_WITHIN_SECONDS"
  work_directory backup
  step redis
  save_redis "$WORK_DIRECTORY"
  step files
  save_files "$WORK_DIRECTORY"
  step certificates
  save_certificates "$WORK_DIRECTORY"
  step grafana
  save_grafana "$WORK_DIRECTORY"
  step archive
  name="wearon-$(date -u +%Y%m%dT%H%M%SZ).tar"
  write_archive "$WORK_DIRECTORY" "$name"
  step keep
  keep_the_last
  step metric
  write_gauge wearon_backup_last_success_timestamp_seconds "When the last backup was written." "$(date +%s)"
  end_of_step
  good "$BACKUP_DIRECTORY/$name, $(stat -c %s "$BACKUP_DIRECTORY/$name") bytes. It holds every secret; copy it away encrypted."
}

main "$@"
