#!/bin/sh
# Process 1 of the redis container: hands the password to redis-server in a file in memory that only it can read.
# On the command line or in a health check, everybody who may list processes or containers would read it.
set -eu

readonly CONFIGURATION=/run/redis/redis.conf # a tmpfs of mode 0700 (compose/services.yml)
readonly EXIT_CONFIGURATION=78               # EX_CONFIG of sysexits.h: nothing to try again, somebody has to act

case "${REDISCLI_AUTH-}" in
  '' | *[!A-Za-z0-9_-]*)
    echo "REDIS_PASSWORD in .env must be letters, digits, _ and - only, and at least one of them." >&2
    exit "$EXIT_CONFIGURATION"
    ;;
esac

umask 077
printf 'include /etc/wearon/redis/redis.conf\nrequirepass %s\n' "$REDISCLI_AUTH" >"$CONFIGURATION"
unset REDISCLI_AUTH # the health check gets it from the container, not from here
exec redis-server "$CONFIGURATION"
