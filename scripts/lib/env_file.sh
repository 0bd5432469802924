# shellcheck shell=bash
# .env as bytes. Never `source` it: a value with $(...) would run. Three others read the same file: Compose raw (for the
# worker's container), Compose with ${...} (for the YAML) and python-dotenv (`make dev`). What one of them would read
# otherwise than the rest is refused, so that a value means the same everywhere.

readonly LONGEST_ENV_VALUE=32768 # bytes; Compose stops at a line of 64 KiB, and no key is as long as this

# env_value_fault VALUE: prints what is wrong with a value, in words that continue "KEY ...". Prints nothing if it may stay.
env_value_fault() {
  local LC_ALL=C
  case "$1" in
    *$'\n'* | *$'\r'*) echo "has a line break in it" ;;
    *[!\ -~]*) echo "has a character that is not printable ASCII" ;;
    " "* | *" ") echo "begins or ends with a space" ;;
    "'"* | '"'*) echo "begins with a quote; write it without quotes" ;;
    *" #"*) echo "has a space and then #, where a comment would begin" ;;
    *'$'*) echo "has a \$, which Compose would take for a variable; in an address write %24, else make another secret" ;;
    *) if ((${#1} > LONGEST_ENV_VALUE)); then echo "is longer than $LONGEST_ENV_VALUE bytes"; fi ;;
  esac
}

# read_env_value FILE KEY: prints the bytes after KEY=, without the line's end. Status 1 if there is no such line.
read_env_value() {
  local LC_ALL=C line
  while IFS= read -r line || [[ -n $line ]]; do
    if [[ $line == "$2="* ]]; then
      printf '%s' "${line#*=}"
      return 0
    fi
  done <"$1"
  return 1
}

# setting KEY [DEFAULT]: a value of .env, else of versions.env, else DEFAULT; as Compose finds it.
setting() {
  local file
  for file in "$ENV_FILE" "$VERSIONS_FILE"; do
    if [[ -r $file ]] && read_env_value "$file" "$1"; then return 0; fi
  done
  printf '%s' "${2-}"
}

# check_env_file FILE: dies at the first line that is no comment, no KEY=VALUE, a second line for a key, or has a value
# that is refused. Says the line's number and the key, never the value.
check_env_file() {
  local LC_ALL=C line fault key number=0
  local -A seen=()
  [[ $(tr -d '\000' <"$1" | wc -c) == $(wc -c <"$1") ]] || die "$1 has a NUL byte in it. Write the file again."
  while IFS= read -r line || [[ -n $line ]]; do
    number=$((number + 1))
    [[ -n $line && $line != "#"* ]] || continue
    [[ $line =~ ^([A-Za-z_][A-Za-z0-9_]*)= ]] ||
      die "$1 line $number is neither a comment nor KEY=VALUE, with nothing before the key. Mend that line."
    key=${BASH_REMATCH[1]}
    [[ -z ${seen[$key]+yes} ]] || die "$1 line $number has $key for the second time. Remove one of the two lines."
    seen[$key]=yes
    fault=$(env_value_fault "${line#*=}")
    [[ -z $fault ]] || die "$1 line $number: $key $fault. Mend that line."
  done <"$1"
}

# write_env_value FILE KEY VALUE: adds a key. A key that is there stays as it is. The file is 0600 and never half written.
write_env_value() {
  local fault
  if [[ -e $1 ]] && read_env_value "$1" "$2" >/dev/null; then return 0; fi
  fault=$(env_value_fault "$3")
  [[ -z $fault ]] || die "$2 $fault. Nothing was written."
  write_by_rename "$1" 0600 _lines_with "$@"
}

# A file whose last line has no end would take the next key into that line.
_lines_with() {
  { [[ ! -e $1 ]] || cat "$1"; } &&
    { [[ ! -s $1 || -z $(tail -c 1 "$1") ]] || echo; } &&
    printf '%s=%s\n' "$2" "$3"
}
