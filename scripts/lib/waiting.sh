# shellcheck shell=bash
# Waiting that a person can watch, and one script at a time.

readonly SHOWN_COMMAND_BYTES=100 # of a command that holds the lock: enough to know it by

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

# run_and_report WHAT COMMAND...: runs it, with a line every ten seconds while it runs; its status is the status. COMMAND
# goes on when the script is killed, so it must be one that may be run again beside itself: it does not hold the lock.
run_and_report() {
  local what="$1" began=$SECONDS reported=$SECONDS child
  shift
  "$@" 9<&- &
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
# behind. Descriptor 9 holds it, which what a script starts inherits: of a script that was killed, a command that changes
# containers (docker compose up) keeps the next script out until it ends; the draining of a worker does not.
take_lock() {
  local seconds="${1:-$LOCK_WITHIN_SECONDS}"
  [[ $DRY_RUN == no ]] || return 0
  exec 9<"$WEARON_HOME"
  if flock --nonblock 9; then return 0; fi
  if ((seconds > 0)); then
    say "      waiting at most $seconds s for another script at work here: $(lock_holders)"
    if flock --wait "$seconds" 9; then return 0; fi
  fi
  die "Another script is at work in $WEARON_HOME, or a command that a killed one left: $(lock_holders). Run this again when it is done."
}

# lock_holders: "process PID (COMMAND)" of each that has the lock. Secrets are in no command (lib/messages.sh).
lock_holders() {
  local link process holders=""
  while IFS= read -r link; do
    process=${link%/fd/*}
    if grep -q '^lock:' "$process/fdinfo/${link##*/}" 2>/dev/null; then
      holders+="${holders:+, }process ${process##*/} ($(tr '\0' ' ' 2>/dev/null <"$process/cmdline" | head -c "$SHOWN_COMMAND_BYTES"))"
    fi
  done < <(find /proc/[0-9]*/fd -lname "$(realpath "$WEARON_HOME")" 2>/dev/null)
  printf '%s' "${holders:-of another user, or just ended}"
}
