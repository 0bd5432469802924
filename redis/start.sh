#!/bin/sh
# Process 1 of the redis container: hands the password to redis-server in a file in memory that only it can read.
# On the command line or in a health check, everybody who may list processes or containers would read it.
set -eu

readonly SETTINGS="${REDIS_SETTINGS:-/etc/wearon/redis/redis.conf}" # tests name others
readonly WITH_PASSWORD="${REDIS_WITH_PASSWORD:-/run/redis/redis.conf}" # in a tmpfs of mode 0700 (compose/services.yml)
readonly EXIT_CONFIGURATION=78 # EX_CONFIG of sysexits.h: nothing to try again, somebody has to act

case "${REDISCLI_AUTH-}" in
  '' | change-me | *[!A-Za-z0-9_-]*)
    echo "REDIS_PASSWORD in .env must be letters, digits, _ and - only, and not the placeholder." >&2
    exit "$EXIT_CONFIGURATION"
    ;;
esac

umask 077
printf 'include %s\nrequirepass %s\n' "$SETTINGS" "$REDISCLI_AUTH" >"$WITH_PASSWORD"
unset REDISCLI_AUTH # the health check gets it from the container, not from here
exec redis-server "$WITH_PASSWORD"
