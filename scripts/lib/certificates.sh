# shellcheck shell=bash
# The first certificate. Renewal is scripts/renew-certs.sh.

# certbot_tool PROGRAM ARGUMENT...: another program in certbot's container, which sees the volumes.
certbot_tool() { compose run --rm --no-deps -T --entrypoint "$1" "$CERTBOT_SERVICE" "${@:2}"; }

# Fresh named volumes belong to root, and certbot does not run as root.
ensure_volume_owner() {
  local directory
  for directory in "$CERTIFICATES_IN_CONTAINER" "$WEBROOT_IN_CONTAINER"; do
    if [[ $(volume_owner "$directory") == "$CERTIFICATE_OWNER" ]]; then continue; fi
    act "give $directory to $CERTIFICATE_OWNER" _give_volume "$directory"
    if [[ $DRY_RUN == yes ]]; then continue; fi
    [[ $(volume_owner "$directory") == "$CERTIFICATE_OWNER" ]] || die "$directory still does not belong to $CERTIFICATE_OWNER. Look at \`docker volume ls\`."
  done
}

volume_owner() { certbot_tool stat -c %u:%g "$1" </dev/null 2>/dev/null || echo unknown; }

_give_volume() {
  compose run --rm --no-deps -T --user 0:0 --cap-add CHOWN --entrypoint chown "$CERTBOT_SERVICE" "$CERTIFICATE_OWNER" "$1" </dev/null
}

# has_real_certificate DOMAIN: there is one of the real authority (not of its rehearsal) that has not run out.
has_real_certificate() {
  local server
  server=$(certbot_tool cat "$CERTIFICATES_IN_CONTAINER/renewal/$1.conf" </dev/null 2>/dev/null | awk '$1 == "server" { print $3 }') || return 1
  [[ $server == "$ACME_SERVER" ]] || return 1
  certbot_tool cat "$CERTIFICATES_IN_CONTAINER/live/$1/fullchain.pem" </dev/null 2>/dev/null |
    openssl x509 -noout -checkend 0 >/dev/null 2>&1
}

# order_certificate DOMAIN rehearsal|real. A rehearsal asks the authority's test server and keeps nothing: what is wrong
# with DNS or a firewall shows there, where failures cost nothing (the real one allows five an hour).
order_certificate() {
  local server="$ACME_SERVER" extra=()
  if [[ $2 == rehearsal ]]; then
    server="$ACME_STAGING_SERVER"
    extra=(--dry-run)
  fi
  compose run --rm --no-deps -T "$CERTBOT_SERVICE" certonly --webroot --webroot-path "$WEBROOT_IN_CONTAINER" \
    --non-interactive --agree-tos --keep-until-expiring --email "$(setting CERTBOT_EMAIL)" --domain "$1" --cert-name "$1" \
    --server "$server" "${extra[@]}" </dev/null ||
    die "The authority ($server) gave no certificate for $1; its words are above. Is port 80 open from outside, and do A and AAAA lead here?"
}

ensure_certificate() { # ensure_certificate DOMAIN
  if has_real_certificate "$1"; then
    good "certificate: there is a valid one, none is ordered"
    return 0
  fi
  act "rehearse the order of a certificate for $1" order_certificate "$1" rehearsal
  act "order the certificate for $1" order_certificate "$1" real
  if [[ $DRY_RUN == yes ]]; then return 0; fi
  has_real_certificate "$1" || die "certbot says it is done, and there is no valid certificate of $1. See \`docker compose run --rm certbot certificates\`."
}

reload_nginx() { compose exec -T "$NGINX_SERVICE" /bin/sh "$NGINX_START" reload </dev/null; }
