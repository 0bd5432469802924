# shellcheck shell=bash
# The certificate that port 443 shows, and the one that lies on the volume. Only together they say whether a renewal is
# done: a script that was killed in between finds them different the next time (ADR 0116).

readonly HTTPS_ADDRESS="${WEARON_HTTPS_ADDRESS:-127.0.0.1:443}" # this host's own port, whatever DNS says
readonly HANDSHAKE_WITHIN_SECONDS=10

# Both print PEM, or nothing with a status that is not 0.
certificate_on_volume() { compose exec -T "$NGINX_SERVICE" cat "$CERTIFICATES_IN_CONTAINER/live/$1/fullchain.pem" </dev/null; }

served_certificate() {
  timeout "$HANDSHAKE_WITHIN_SECONDS" openssl s_client -connect "$HTTPS_ADDRESS" -servername "$1" </dev/null 2>/dev/null |
    openssl x509 2>/dev/null
}

fingerprint() { openssl x509 -noout -fingerprint -sha256; }

# is_served DOMAIN FINGERPRINT
is_served() { [[ $(served_certificate "$1" | fingerprint 2>/dev/null) == "$2" ]]; }

# expiry_seconds: of the certificate on stdin, as Unix time.
expiry_seconds() {
  local end
  end=$(openssl x509 -noout -enddate)
  date -u -d "${end#notAfter=}" +%s
}
