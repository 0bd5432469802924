# shellcheck shell=bash
# Files that are whole or not there: a reader, or a machine that stops, never sees half of one.

# write_by_rename FILE MODE: its new content comes from stdin. On the disk before it has its name.
write_by_rename() {
  local directory temporary
  directory=$(dirname "$1")
  temporary=$(umask 077 && mktemp "$directory/.${1##*/}.XXXXXX")
  if cat >"$temporary" && chmod "$2" "$temporary" && sync "$temporary" && mv -fT "$temporary" "$1"; then
    sync "$directory"
  else
    rm -f "$temporary"
    die "Could not write $1. Is the disk full (df -h $directory)?"
  fi
}

# write_gauge NAME HELP VALUE: a metric for node-exporter's textfile collector, in a file of its own.
write_gauge() {
  mkdir -p "$METRICS_DIRECTORY"
  chmod 0755 "$METRICS_DIRECTORY"
  printf '# HELP %s %s\n# TYPE %s gauge\n%s %s\n' "$1" "$2" "$1" "$1" "$3" |
    write_by_rename "$METRICS_DIRECTORY/$1.prom" 0644
}
