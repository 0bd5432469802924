#!/usr/bin/env bash
# Makes a production host out of a fresh machine (story 6.1). `first-deploy.sh --help` explains it.
set -Eeuo pipefail
# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

usage() {
  cat <<'HELP'
first-deploy.sh [--dry-run] [--tag TAG] [--address IPV4] DOMAIN

Makes this machine the production host of DOMAIN. First it looks at what can be wrong outside: system, disk, memory,
ports, clock, DNS. Then it installs Docker where missing, fills /opt/wearon, asks for the settings that are missing,
starts everything, orders the certificate (a rehearsal first), installs the daily renewal and backup and the command
`wearon`, and asks https://DOMAIN/health until it says ok.

It may be stopped at any moment and run again: each step looks first and does only what is missing. On a host that runs
well it changes nothing.

  --tag TAG       of the worker's image; asked for if no tag is in force and WORKER_TAG is not set.
  --address IPV4  the public address of a host behind NAT, which cannot know it by itself.
  --dry-run       says what would be done and touches nothing.

From the environment, so that nobody has to type: CERTBOT_EMAIL, SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY, OPENAI_API_KEY;
every other setting of .env.example, too. Passwords are made here. A setting that stands in .env is never changed.
DATABASE_URL, if given: supabase/migrations are applied. It is not stored.
WEARON_HOME: the host's directory, /opt/wearon if not set.

  sudo scripts/first-deploy.sh --tag v1.4.0 worker.example.com
HELP
}

domain="" address="" tag="${WORKER_TAG:-}"
bundle=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly bundle

parse_arguments() {
  while (($#)); do
    case "$1" in
      --help | -h) usage && exit 0 ;;
      --dry-run) DRY_RUN=yes ;;
      --tag | --address)
        (($# > 1)) || wrong_usage "After $1 its value is missing. Nothing was done."
        if [[ $1 == --tag ]]; then tag=$2; else address=$2; fi
        shift
        ;;
      -*) wrong_usage "There is no option \"$1\". Nothing was done." ;;
      *)
        [[ -z $domain ]] || wrong_usage "One domain only, not \"$domain\" and \"$1\". Nothing was done."
        domain=$1
        ;;
    esac
    shift
  done
  [[ -n $domain ]] || wrong_usage "DOMAIN is missing. Nothing was done."
  [[ $domain =~ ^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$ ]] ||
    die "\"$domain\" is no name for a host. It has lower case letters, digits, - and at least one dot, such as worker.example.com."
}

make_home() {
  if [[ -d $WEARON_HOME ]]; then return 0; fi
  act "make $WEARON_HOME" install -d -m 0755 "$WEARON_HOME"
}

copy_bundle() {
  if [[ $bundle -ef $WEARON_HOME ]]; then
    good "files: this script lies in $WEARON_HOME"
    return 0
  fi
  install_bundle "$bundle"
  if [[ $DRY_RUN == no ]]; then good "files: as in $bundle"; fi
}

choose_tag() {
  local in_force
  in_force=$(tag_in_force)
  if [[ -n $in_force ]]; then
    [[ -z $tag || $tag == "$in_force" ]] ||
      die "$in_force is in force on this host, not $tag. Say: $WEARON_HOME/scripts/deploy.sh $tag"
    good "release: $in_force is in force"
    return 0
  fi
  if [[ -z $tag && $DRY_RUN == yes ]]; then
    say "would ask for the tag of the worker's image"
    return 0
  fi
  if [[ -z $tag ]]; then
    [[ -t 0 || -n ${WEARON_ANSWERS_FROM_STDIN:-} ]] || die "No tag is in force, and nobody is here to ask. Say --tag TAG."
    printf 'Tag of the image %s: ' "$(worker_image)" >&2
    IFS= read -r tag || die "No answer. Say --tag TAG."
  fi
  check_tag "$tag"
  act "put $tag in force" put_in_force "$tag"
}

# What is here is not asked for again: a pin is a full tag, and a changed image would replace a container.
pull_images() {
  act "pull the images that are missing" compose --profile certificates pull --quiet --policy missing ||
    die "An image could not be had; Docker's words are above. Is the tag right, and does \`docker login\` stand for a private one? Run this again."
}

start_everything() {
  act "start everything" start_whole && return 0
  local id
  for id in $(containers_of "$WORKER_SERVICE"); do
    if ! is_healthy "$id"; then show_why_unwell "$id"; fi
  done
  die "Not everything got well; its words are above. Mend the cause (a setting: $ENV_FILE) and run this again."
}

# Jitter, so that not every host in the world asks the authority at 3:00 (story 6.3). % means a new line to cron.
cron_lines() {
  cat <<CRON
# Written by first-deploy.sh. Renewal decides by itself whether it is due; both report by logger (journalctl -t wearon).
SHELL=/bin/bash
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WEARON_HOME=$WEARON_HOME
0 3 * * * root sleep \$((RANDOM \\% 3600)); $WEARON_HOME/scripts/renew-certs.sh 2>&1 | logger -t wearon
30 2 * * * root $WEARON_HOME/scripts/backup.sh 2>&1 | logger -t wearon
CRON
}

ensure_cron() {
  if [[ -r $CRON_FILE && $(<"$CRON_FILE") == "$(cron_lines)" ]]; then
    good "cron: renewal at 3:00, backup at 2:30"
    return 0
  fi
  act "write $CRON_FILE" _write_cron
}

_write_cron() { write_by_rename "$CRON_FILE" 0644 cron_lines; }

public_health() { curl --silent --show-error --max-time 10 "https://$domain/health" 2>&1; }

is_publicly_well() { [[ $(public_health) =~ \"status\":\ *\"ok\" ]]; }

ask_from_outside() {
  if [[ $DRY_RUN == yes ]]; then
    say "would ask https://$domain/health until it says ok"
    return 0
  fi
  wait_until "$PUBLIC_ANSWER_WITHIN_SECONDS" "https://$domain/health to say ok" is_publicly_well ||
    die "https://$domain/health says: $(public_health | head -c 400). Everything is started; see \`docker compose -f $COMPOSE_FILE_NAME logs\` in $WEARON_HOME."
  good "https://$domain/health says ok"
}

look_outside() {
  check_root
  check_system
  check_memory "$bundle"
  check_ports
}

main() {
  parse_arguments "$@"
  step look
  look_outside
  step tools
  ensure_tools
  step reach
  check_clock
  check_addresses "$domain" "$address"
  step home
  make_home
  if [[ -d $WEARON_HOME ]]; then take_lock; fi
  step files
  copy_bundle
  step disk
  check_disk
  step docker
  ensure_docker
  step settings
  write_settings "$domain"
  step release
  choose_tag
  step pull
  pull_images
  step inside
  check_dns_in_container
  step migrate
  if [[ -n ${DATABASE_URL:-} ]]; then apply_migrations; fi
  step volumes
  if [[ $DRY_RUN == no ]]; then ensure_volume_owner; else say "would give the certificates' volumes to $CERTIFICATE_OWNER"; fi
  step start
  start_everything
  act "note the release in $HISTORY_FILE" record_deploy "$(tag_in_force)"
  step certificate
  if [[ $DRY_RUN == no ]]; then ensure_certificate "$domain"; else say "would order a certificate if there is no valid one"; fi
  step reload
  ensure_https
  step cron
  ensure_cron
  step command
  ensure_operators_command
  step health
  ask_from_outside
  end_of_step
  if [[ $DRY_RUN == yes ]]; then
    say "would end with a host that serves $domain; nothing was changed"
    return 0
  fi
  good "Grafana: https://$domain/grafana/, user admin; its password is GF_SECURITY_ADMIN_PASSWORD in $ENV_FILE"
  good "This host runs $(tag_in_force) for $domain. What to look at in the first hour: docs/first-hour.md"
}

# nginx starts without a certificate; it takes one up by a reload, which closes no connection.
ensure_https() {
  if [[ $DRY_RUN == no ]] && is_publicly_well; then
    good "nginx: serves HTTPS"
    return 0
  fi
  act "have nginx take up the certificate" reload_nginx ||
    die "nginx did not take up the certificate; its words are above. \`docker compose -f $COMPOSE_FILE_NAME logs nginx\` says more."
}

main "$@"
