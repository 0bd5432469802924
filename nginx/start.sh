#!/bin/sh
# Renders nginx's configuration for one domain, and runs nginx with it or has a running one take it over.
# POSIX sh and what BusyBox has: it runs inside nginx's container (ADR 0113).
set -eu

usage() {
    cat <<'USAGE'
start.sh            render the configuration and run nginx in the foreground
start.sh reload     render, check, and have the running nginx take it over without closing a connection
start.sh render     render and check only, beside what runs; nothing changes
start.sh --help     this text

DOMAIN must be set. While /etc/letsencrypt/live/DOMAIN/ holds no certificate, only port 80 is served: the certificate
authority's questions and "503, not set up yet". Once there is one: start.sh reload.

The other settings have defaults for production; tests set them:
  NGINX_BINARY, NGINX_HTTP_LISTEN, NGINX_HTTPS_LISTEN, NGINX_STATUS_LISTEN, NGINX_METRICS_LISTEN, NGINX_RESOLVER,
  NGINX_WORKER_UPSTREAM, NGINX_GRAFANA_UPSTREAM, NGINX_CONF_DIR, NGINX_RUN_DIR, NGINX_CACHE_DIR, NGINX_CERTIFICATES_DIR, NGINX_ACME_DIR,
  NGINX_ACCESS_LOG, NGINX_SHUTDOWN_TIMEOUT
USAGE
}

NGINX=${NGINX_BINARY:-nginx}
CONF_DIR=${NGINX_CONF_DIR:-/etc/nginx/conf.d}
CERTIFICATES_DIR=${NGINX_CERTIFICATES_DIR:-/etc/letsencrypt}
SOURCE=$(cd "$(dirname "$0")" && pwd)
readonly NGINX CONF_DIR CERTIFICATES_DIR SOURCE
readonly CURRENT="$CONF_DIR/current"
readonly MAX_DOMAIN_LENGTH=253  # RFC 1035
readonly MAX_LABEL_LENGTH=63

say() {
    printf 'start.sh: %s\n' "$1" >&2
}

die() {
    say "$1"
    exit 1
}

# What stands for ${NAME} in the files: one name and its value a line.
# 127.0.0.11 is Docker's DNS inside every container. An open page of Grafana would keep nginx's old workers for ever.
settings() {
    cat <<SETTINGS
DOMAIN ${DOMAIN:-}
HTTP_LISTEN ${NGINX_HTTP_LISTEN:-80}
HTTPS_LISTEN ${NGINX_HTTPS_LISTEN:-443}
STATUS_LISTEN ${NGINX_STATUS_LISTEN:-127.0.0.1:8080}
METRICS_LISTEN ${NGINX_METRICS_LISTEN:-8081}
RESOLVER ${NGINX_RESOLVER:-127.0.0.11}
WORKER_UPSTREAM ${NGINX_WORKER_UPSTREAM:-worker:8000}
GRAFANA_UPSTREAM ${NGINX_GRAFANA_UPSTREAM:-grafana:3000}
RUN_DIR ${NGINX_RUN_DIR:-/run}
CACHE_DIR ${NGINX_CACHE_DIR:-/var/cache/nginx}
CERTIFICATES_DIR $CERTIFICATES_DIR
ACME_DIR ${NGINX_ACME_DIR:-/var/www/acme}
ACCESS_LOG ${NGINX_ACCESS_LOG:-/dev/stdout}
SHUTDOWN_TIMEOUT ${NGINX_SHUTDOWN_TIMEOUT:-60s}
SETTINGS
}

# The values go into nginx's configuration and into a program of sed: nothing in them may mean anything there.
check_settings() {
    check_domain "${DOMAIN:-}"
    while read -r name value; do
        case $value in
            '' | *[!A-Za-z0-9._:/-]*) die "NGINX_$name must consist of letters, digits and . _ : / - only." ;;
        esac
    done <<SETTINGS
$(settings)
SETTINGS
}

check_domain() {
    domain=$1
    [ -n "$domain" ] || die 'DOMAIN is not set. Write DOMAIN=worker.example.com into .env.'
    case $domain in
        *[!a-z0-9.-]*)
            die 'DOMAIN must be a plain host name in lower case, such as worker.example.com: no https://, no port, no path.' ;;
        .* | *. | *..* | -* | *- | *.-* | *-.*) die 'DOMAIN has a dot or a hyphen where no host name has one.' ;;
        *.*) ;;
        *) die 'DOMAIN needs at least one dot: a certificate is given for public names only.' ;;
    esac
    case ${domain##*.} in
        *[!0-9]*) ;;
        *) die 'DOMAIN must be a name, not an address.' ;;
    esac
    [ "${#domain}" -le "$MAX_DOMAIN_LENGTH" ] || die "DOMAIN is longer than $MAX_DOMAIN_LENGTH characters."
    rest=$domain.
    while [ -n "$rest" ]; do
        label=${rest%%.*}
        rest=${rest#*.}
        [ "${#label}" -le "$MAX_LABEL_LENGTH" ] || die "DOMAIN has a part of more than $MAX_LABEL_LENGTH characters."
    done
}

# Says "yes", "no", or "unreadable" for one that is there but not for this user.
has_certificate() {
    live=$CERTIFICATES_DIR/live/$DOMAIN
    if [ -r "$live/fullchain.pem" ] && [ -r "$live/privkey.pem" ]; then
        echo yes
    elif [ -x "$CERTIFICATES_DIR" ] && { [ ! -d "$CERTIFICATES_DIR/live" ] || [ -x "$CERTIFICATES_DIR/live" ]; } &&
        [ ! -L "$live/privkey.pem" ] && [ ! -e "$live/privkey.pem" ]; then
        echo no
    else
        echo unreadable
    fi
}

# What a start.sh that was killed has left in the tmpfs.
forget_the_killed() {
    for left in "$CONF_DIR"/next.*; do
        if [ -d "$left" ] && ! kill -0 "${left##*.}" 2>/dev/null; then rm -rf "$left"; fi
    done
}

# render DIRECTORY with|without: the whole configuration, with or without HTTPS.
render() {
    target=$1
    https=$2
    case $https in
        with) plain_http=redirect ;;
        *) plain_http='wait' ;;
    esac
    program=$({ settings; echo "PLAIN_HTTP $plain_http"; } | sed 's/^\([A-Z_]*\) \(.*\)$/s|${\1}|\2|g/')
    forget_the_killed
    rm -rf "$target"
    mkdir -p "$target/conf.d" "$target/snippets"
    for file in "$SOURCE"/nginx.conf "$SOURCE"/conf.d/*.conf "$SOURCE"/snippets/*.conf; do
        sed "$program" "$file" >"$target/${file#"$SOURCE"/}"
    done
    [ "$https" = with ] || rm "$target/conf.d/https.conf"
    has_stub_status || rm "$target/conf.d/metrics.conf"
}

# The official image's nginx has it; without it nginx takes no such file, and serves all the same.
has_stub_status() {
    "$NGINX" -V 2>&1 | grep -q http_stub_status_module
}

check() {
    "$NGINX" -t -q -e stderr -p "$CONF_DIR" -c "$1/nginx.conf"
}

take_over() {
    rm -rf "$CONF_DIR/previous"
    [ ! -e "$CURRENT" ] || mv "$CURRENT" "$CONF_DIR/previous"
    mv "$1" "$CURRENT"
}

with_https_or_not() {
    case $1 in
        yes) echo with ;;
        *) echo without ;;
    esac
}

warn_unreadable() {
    say "the certificate of $DOMAIN is there but user $(id -u) cannot read it. Give the volume to nginx and certbot:
    docker compose run --rm --no-deps --user 0:0 --cap-add CHOWN --cap-add DAC_READ_SEARCH --entrypoint chown certbot -R 101:101 /etc/letsencrypt"
}

# Comes up with whatever can be served: without port 80 a broken certificate could not be replaced either.
start() {
    certificate=$(has_certificate)
    [ "$certificate" != unreadable ] || warn_unreadable
    next=$CONF_DIR/next.$$
    render "$next" "$(with_https_or_not "$certificate")"
    if ! check "$next"; then
        [ "$certificate" = yes ] || die 'nginx refuses this configuration; its reason is above.'
        say "nginx refuses the configuration with HTTPS (its reason is above); only port 80 is served until this is mended."
        render "$next" without
        check "$next" || die 'nginx refuses this configuration also without HTTPS; its reason is above.'
        certificate=no
    fi
    take_over "$next"
    [ "$certificate" = yes ] || say "no certificate of $DOMAIN in use: port 80 only. When there is one: start.sh reload"
    exec "$NGINX" -e stderr -p "$CONF_DIR" -c "$CURRENT/nginx.conf" -g 'daemon off;'
}

# Leaves what runs as it is when anything is wrong, also its files.
render_and_check() {
    certificate=$(has_certificate)
    if [ "$certificate" = unreadable ]; then
        warn_unreadable
        die 'nothing was changed.'
    fi
    render "$1" "$(with_https_or_not "$certificate")"
    if ! check "$1"; then
        rm -rf "$1"
        die 'nginx refuses this configuration (its reason is above). The running one was left as it is.'
    fi
}

reload() {
    next=$CONF_DIR/next.$$
    render_and_check "$next"
    take_over "$next"
    "$NGINX" -e stderr -p "$CONF_DIR" -c "$CURRENT/nginx.conf" -s reload
}

case ${1:-start} in
    start)
        check_settings
        start
        ;;
    reload)
        check_settings
        reload
        ;;
    render)
        check_settings
        render_and_check "$CONF_DIR/next"
        say "the configuration is good; it is in $CONF_DIR/next."
        ;;
    --help | -h) usage ;;
    *)
        usage >&2
        exit 2
        ;;
esac
