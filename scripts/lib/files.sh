# shellcheck shell=bash
# Files that are whole or not there: a reader, or a machine that stops, never sees half of one.

# work_directory KIND: makes one, 0700, names it in WORK_DIRECTORY, and removes it when the script ends. Called under the
# lock: what a killed run left of that kind (it may hold every secret) belongs to nobody, and goes first. One at a time.
work_directory() {
  rm -rf "$WEARON_HOME/.$1."??????
  WORK_DIRECTORY=$(umask 077 && mktemp -d "$WEARON_HOME/.$1.XXXXXX") ||
    die "No directory could be made in $WEARON_HOME. Are you root? Is the disk full (df -h $WEARON_HOME)?"
  trap 'rm -rf "$WORK_DIRECTORY"' EXIT
}

# write_by_rename FILE MODE COMMAND...: its new content is what COMMAND prints; if COMMAND fails, the file stays as it was.
# (In a pipe nobody could know that.) On the disk before it has its name. What a killed write left beside it (it may be a
# copy of .env) goes first: one script at a time writes a file. A function as COMMAND joins its parts with &&, for bash's
# -e is off in it.
write_by_rename() {
  local directory temporary
  directory=$(dirname "$1")
  rm -f "$directory/.${1##*/}."??????
  temporary=$(umask 077 && mktemp "$directory/.${1##*/}.XXXXXX")
  if "${@:3}" >"$temporary" && chmod "$2" "$temporary" && sync "$temporary" && mv -fT "$temporary" "$1"; then
    sync "$directory"
  else
    rm -f "$temporary"
    die "$1 could not be written whole. Are there words above that say why? Is the disk full (df -h $directory)? What was there before is as it was."
  fi
}

# write_gauge NAME HELP VALUE: a metric for node-exporter's textfile collector, in a file of its own.
write_gauge() {
  mkdir -p "$METRICS_DIRECTORY"
  chmod 0755 "$METRICS_DIRECTORY"
  write_by_rename "$METRICS_DIRECTORY/$1.prom" 0644 \
    printf '# HELP %s %s\n# TYPE %s gauge\n%s %s\n' "$1" "$2" "$1" "$1" "$3"
}
