# shellcheck shell=bash
# Waiting that a person can watch, and one script at a time.

# wait_until SECONDS WHAT COMMAND...: looks until COMMAND succeeds; a line every ten seconds. Status 1 when time is up.
wait_until() {
  local limit="$1" what="$2" began=$SECONDS reported=$SECONDS
  shift 2
  until "$@"; do
    ((SECONDS - began < limit)) || return 1
    if ((SECONDS - reported >= REPORT_EVERY_SECONDS)); then
      reported=$SECONDS
      say "      waiting for $what: $((SECONDS - began)) of at most $limit s"
    fi
    sleep "$POLL_SECONDS"
  done
}

# run_and_report WHAT COMMAND...: runs it, with a line every ten seconds while it runs; its status is the status.
run_and_report() {
  local what="$1" began=$SECONDS reported=$SECONDS child
  shift
  "$@" &
  child=$!
  while kill -0 "$child" 2>/dev/null; do
    if ((SECONDS - reported >= REPORT_EVERY_SECONDS)); then
      reported=$SECONDS
      say "      $what: $((SECONDS - began)) s so far"
    fi
    sleep "$POLL_SECONDS"
  done
  wait "$child"
}

# take_lock [SECONDS]: one script at a time works on this host. The lock is on the directory itself, so no file is left
# behind, and a script that was killed holds none.
take_lock() {
  local seconds="${1:-$LOCK_WITHIN_SECONDS}"
  [[ $DRY_RUN == no ]] || return 0
  exec {_lock}<"$WEARON_HOME"
  flock --wait "$seconds" "$_lock" ||
    die "Another script is at work in $WEARON_HOME (a deploy, a backup, a renewal). Run this again when it is done."
}
