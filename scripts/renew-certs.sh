#!/usr/bin/env bash
# Renews the certificate when it is due, and has nginx serve it (story 6.3, ADR 0116). `renew-certs.sh --help` explains it.
set -Eeuo pipefail
# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
# shellcheck source=scripts/lib/served_certificate.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/served_certificate.sh"

usage() {
  cat <<'HELP'
renew-certs.sh [--dry-run]

Run by cron every night; by hand at any time. Asks certbot, which renews only what its authority says is due. If port 443
then shows another certificate than the one on the volume, nginx checks its configuration and reloads, without closing a
connection. When port 443 shows the right one, and only then, it writes the metrics
wearon_certificate_renewal_last_success_timestamp_seconds and wearon_certificate_expiry_timestamp_seconds.
Killed at any moment it can be run again, as often as you like.
HELP
}

readonly SERVED_WITHIN_SECONDS="${WEARON_SERVED_WITHIN_SECONDS:-30}" # a reload takes a second; a busy host some more
readonly LOCK_FOR_RENEWAL_SECONDS=900 # a deploy may be draining a worker for 430 s

# certbot decides: by the authority's advice (ARI), else by what is left of the certificate's life. Without a terminal it
# would first sleep up to eight minutes; cron has waited already.
ask_certbot() {
  compose run --rm --no-deps -T "$CERTBOT_SERVICE" renew --cert-name "$1" \
    --non-interactive --no-random-sleep-on-renew </dev/null
}

# take_up DOMAIN FINGERPRINT: makes port 443 show this one.
take_up() {
  if is_served "$1" "$2"; then
    good "port 443 shows the certificate of the volume"
    return 0
  fi
  act "have nginx check its configuration and take up the certificate" reload_nginx ||
    die "nginx did not take the certificate up; its words are above. What it serves is what it served before."
  wait_until "$SERVED_WITHIN_SECONDS" "port 443 to show the new certificate" is_served "$1" "$2" ||
    die "nginx was reloaded, and $HTTPS_ADDRESS still does not show the certificate of the volume. See \`docker compose -f $COMPOSE_FILE_NAME logs nginx\` in $WEARON_HOME."
  good "port 443 shows the new certificate"
}

record_success() { # record_success EXPIRY_SECONDS
  write_gauge wearon_certificate_expiry_timestamp_seconds "When the certificate that port 443 shows ends." "$1"
  write_gauge wearon_certificate_renewal_last_success_timestamp_seconds \
    "When a renewal was last found done, with port 443 showing the certificate of the volume." "$(date +%s)"
}

main() {
  local domain pem mark expiry asked=well
  parse_dry_run_or_help "$@"
  need_bundle
  domain=$(setting DOMAIN)
  [[ -n $domain ]] || die "DOMAIN is missing in $ENV_FILE. Run first-deploy.sh."
  if [[ $DRY_RUN == yes ]]; then
    say "would ask certbot whether the certificate of $domain is due, have nginx take up a new one, and write the metrics"
    return 0
  fi
  take_lock "$LOCK_FOR_RENEWAL_SECONDS"
  step certbot
  ask_certbot "$domain" || asked=badly
  step nginx
  pem=$(certificate_on_volume "$domain") ||
    die "The certificate of $domain could not be read in nginx's container. Is nginx running (docker compose ps)? Is there one (first-deploy.sh)?"
  mark=$(fingerprint <<<"$pem") || die "The file of $domain's certificate is no certificate. Order one again: first-deploy.sh."
  take_up "$domain" "$mark"
  step record
  expiry=$(expiry_seconds <<<"$pem")
  ((expiry > $(date +%s))) || die "The certificate of $domain ended on $(date -u -d "@$expiry" +%F), and certbot did not renew it; its words are above."
  [[ $asked == well ]] ||
    die "certbot could not renew; its words are above. The certificate in use is good until $(date -u -d "@$expiry" +%F)."
  record_success "$expiry"
  end_of_step
  good "certificate of $domain: good until $(date -u -d "@$expiry" +%F)"
}

main "$@"
