#!/usr/bin/env bash
# Brings back what backup.sh saved (ADR 0119). `restore.sh --help` explains it.
set -Eeuo pipefail
# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

usage() {
  cat <<'HELP'
restore.sh [--dry-run] [--yes] ARCHIVE

Brings back Redis, .env, release.env, the certificates (if no valid ones are here) and Grafana's database from an archive
of backup.sh. The worker finishes its tasks first; then Redis is stopped, and what it holds now is REPLACED. Tasks of the
archive that were settled since are dropped when a worker meets them, so nobody is charged or refunded twice.

On a new machine: install Docker, unpack the release's files, run this, then first-deploy.sh DOMAIN, which finds the
settings and the certificate and does the rest. Killed at any moment it can be run again.

  --yes      do not ask; needed where nobody sits at a terminal.
  --dry-run  says what would be done and touches nothing.
HELP
}

archive="" sure=no
bundle=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly bundle

parse_arguments() {
  while (($#)); do
    case "$1" in
      --help | -h) usage && exit 0 ;;
      --dry-run) DRY_RUN=yes ;;
      --yes) sure=yes ;;
      -*) wrong_usage "There is no option \"$1\". Nothing was done." ;;
      *)
        [[ -z $archive ]] || wrong_usage "One archive only, not \"$archive\" and \"$1\". Nothing was done."
        archive=$1
        ;;
    esac
    shift
  done
  [[ -n $archive ]] || wrong_usage "ARCHIVE is missing; \`ls $BACKUP_DIRECTORY\` shows what there is. Nothing was done."
}

check_archive() {
  local name names
  names=$(tar -tf "$archive" 2>/dev/null) || die "$archive is no archive of backup.sh, or is cut short. Take another one."
  for name in ./redis.rdb ./.env ./release.env ./certificates.tar; do
    grep -Fxq -- "$name" <<<"$names" || die "$archive has no ${name#./} in it. Take another archive."
  done
}

make_sure() {
  local answer
  if [[ $sure == yes || $DRY_RUN == yes ]]; then return 0; fi
  [[ -t 0 ]] || die "What Redis holds now is replaced. Say --yes if that is meant."
  printf 'What Redis and .env in %s hold now is replaced. Type yes: ' "$WEARON_HOME" >&2
  read -r answer
  [[ $answer == yes ]] || die "Nothing was changed."
}

# By the containers and not by Compose, which refuses without .env or release.env: a Redis that runs on while its files are
# replaced would write over them.
stop_services() {
  local service id
  for service in "$WORKER_SERVICE" "$REDIS_SERVICE"; do
    for id in $(containers_of "$service"); do
      if is_running "$id"; then
        run_and_report "$service ends, the worker after its tasks (at most $STOP_WITHIN_SECONDS s)" _stop_quietly "$id"
      fi
    done
  done
}

# The file that is there is kept beside it once; the copy of a second run would be the restored one.
restore_file() { # restore_file DIRECTORY FILE MODE
  local name=${2##*/}
  if [[ ! -e $1/$name ]] || cmp -s "$1/$name" "$2"; then return 0; fi
  if [[ -e $2 && ! -e $2.before-restore ]]; then write_by_rename "$2.before-restore" "$3" cat "$2"; fi
  write_by_rename "$2" "$3" cat "$1/$name"
}

restore_certificates() {
  ensure_volume_owner
  if has_real_certificate "$(setting DOMAIN)"; then
    good "certificates: valid ones are here and stay"
    return 0
  fi
  certbot_tool tar -C "$CERTIFICATES_IN_CONTAINER" -xf - <"$1/certificates.tar"
}

# The program comes as an argument, the dump on stdin; nothing but the volume is needed in the container.
restore_redis() {
  local keys
  keys=$(compose run --rm --no-deps -T --entrypoint sh "$REDIS_SERVICE" \
    -c "$(<"$bundle/scripts/lib/redis_from_rdb.sh")" redis_from_rdb.sh /data <"$1/redis.rdb") ||
    die "Redis did not take the dump; its words are above. What it held before is in replaced/ of its volume. Run this again."
  compose up -d --no-deps --wait "$REDIS_SERVICE"
  good "Redis: ${keys##*$'\n'} keys are back, and in its append-only file"
}

# Through a container of its own user: `docker cp` into a container looks its user up by name, and ours is a number.
restore_grafana() {
  local id
  if [[ ! -s $1/grafana.tar ]]; then return 0; fi
  id=$(containers_of "$GRAFANA_SERVICE" | head -n 1)
  if [[ -n $id ]]; then docker stop "$id" >/dev/null; fi
  compose run --rm --no-deps -T --entrypoint tar "$GRAFANA_SERVICE" -C /var/lib/grafana -xf - <"$1/grafana.tar" ||
    warn "Grafana did not take its database back; the words are above. The rest goes on: dashboards and alerts come from files."
}

main() {
  parse_arguments "$@"
  step look
  check_archive
  make_sure
  if [[ $DRY_RUN == yes ]]; then
    say "would stop the worker and Redis in $WEARON_HOME, bring back what $archive holds, and start everything"
    return 0
  fi
  compose_is_there || die "Docker with Compose is not here. Install it (docs.docker.com/engine/install) and run this again."
  install -d -m 0755 "$WEARON_HOME"
  take_lock
  if [[ ! -e $WEARON_HOME/$COMPOSE_FILE_NAME ]]; then install_bundle "$bundle"; fi
  work_directory restore
  tar -C "$WORK_DIRECTORY" -xf "$archive" ||
    die "$archive could not be unpacked; tar's words are above. Is the disk full (df -h $WEARON_HOME)? Nothing was changed."
  check_env_file "$WORK_DIRECTORY/.env"

  step stop
  stop_services
  step files
  restore_file "$WORK_DIRECTORY" "$ENV_FILE" 0600
  restore_file "$WORK_DIRECTORY" "$RELEASE_FILE" 0644
  restore_file "$WORK_DIRECTORY" "$HISTORY_FILE" 0644
  restore_file "$WORK_DIRECTORY" "$MIGRATIONS_FILE" 0644
  make_own_settings # an older archive knows nothing of a newer part
  step certificates
  restore_certificates "$WORK_DIRECTORY"
  step redis
  restore_redis "$WORK_DIRECTORY"
  step grafana
  restore_grafana "$WORK_DIRECTORY"
  step start
  start_whole || die "Not all of ${SERVING_SERVICES[*]} got well; its words are above. Mend the cause and run this again."
  end_of_step
  good "$archive is restored. Next: docker compose -f $COMPOSE_FILE_NAME exec worker wearon status"
}

main "$@"
