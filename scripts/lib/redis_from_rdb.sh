#!/bin/sh
# Makes a Redis with an append-only file out of a dump. Runs inside Redis' container (POSIX sh): redis_from_rdb.sh DIRECTORY,
# the dump on stdin. Nobody else may serve that directory meanwhile.
#
# With appendonly on, Redis reads its append-only file alone and never looks at a dump.rdb: a dump laid beside it is lost
# without a word. So a server without append-only file loads the dump, is told to write one, and ends. What was there
# before is kept in replaced/ until that is done, so that a run that was killed can be made again.
set -eu

readonly DIRECTORY="$1"
readonly SOCKET="$DIRECTORY/restore.sock" # no network: nobody can push meanwhile
readonly TRIES=600                      # of half a second: five minutes, for a dump of gigabytes

command_line() { redis-cli -s "$SOCKET" "$@"; }

fail() {
  echo "$1" >&2
  exit 1
}

wait_for() { # wait_for WHAT COMMAND...
  what=$1
  shift
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ "$tries" -lt "$TRIES" ] || fail "Redis did not $what in five minutes"
    kill -0 "$server" 2>/dev/null || fail "Redis ended before it could $what"
    sleep 0.5
  done
}

answers() { [ "$(command_line ping 2>/dev/null)" = PONG ]; }

persistence() { command_line info persistence | tr -d '\r' | sed -n "s/^$1://p"; }

has_rewritten() {
  [ "$(persistence aof_rewrite_in_progress)" = 0 ] && [ "$(persistence aof_rewrite_scheduled)" = 0 ] &&
    [ "$(persistence aof_last_bgrewrite_status)" = ok ]
}

cd "$DIRECTORY"
umask 077
cat >restored.rdb.part
mv restored.rdb.part restored.rdb
mkdir -p replaced
for old in appendonlydir appendonly.aof dump.rdb; do
  if [ -e "$old" ] && [ ! -e "replaced/$old" ]; then mv "$old" replaced/; else rm -rf "$old"; fi
done
mv restored.rdb dump.rdb

redis-server --port 0 --unixsocket "$SOCKET" --dir "$DIRECTORY" --dbfilename dump.rdb --appendonly no --save '' \
  --daemonize no --logfile '' >/dev/null &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
wait_for "load the dump" answers
keys=$(command_line dbsize)
command_line config set appendonly yes >/dev/null
wait_for "write the append-only file" has_rewritten
command_line shutdown nosave >/dev/null 2>&1 || true
wait "$server" || true
trap - EXIT
[ -e appendonlydir ] || [ -e appendonly.aof ] || fail "Redis wrote no append-only file"
rm -rf replaced dump.rdb "$SOCKET"
echo "$keys"
