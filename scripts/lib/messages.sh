# shellcheck shell=bash
# What a script says: `say` to the operator, `warn` when it goes on all the same, `die` when it does not. Colours only on
# a terminal and without NO_COLOR. No secret is ever an argument of these.

_paint() { # _paint FILE_DESCRIPTOR COLOUR TEXT
  if [[ -t $1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    printf '\033[%sm%s\033[0m\n' "$2" "$3" >&"$1"
  else
    printf '%s\n' "$3" >&"$1"
  fi
}

say() { _paint 1 0 "$*"; }

good() { _paint 1 32 "ok    $*"; }

warn() { _paint 2 33 "note  $*"; }

# die MESSAGE: the one message of a failure. It says what is wrong and what to do.
die() {
  _paint 2 31 "STOP  $*"
  exit "$EXIT_FAILED"
}

# For what nobody foresaw: where it was. The command is left out: it may carry a value. A subshell that died has spoken.
_unforeseen() { # _unforeseen STATUS FILE LINE
  ((BASH_SUBSHELL == 0 && $1 != EXIT_FAILED)) || return 0
  _paint 2 31 "STOP  ${2##*/} line $3 failed with status $1; the lines above say more. Running it again is safe."
}
trap '_unforeseen "$?" "${BASH_SOURCE[0]:-$0}" "$LINENO"' ERR

# --- Arguments ------------------------------------------------------------------------------------------------------

# wrong_usage MESSAGE: for a script called in a wrong way. Its own `usage` comes first: the message stays on the screen.
wrong_usage() {
  usage >&2
  _paint 2 31 "STOP  $*"
  exit "$EXIT_USAGE"
}

# parse_dry_run_or_help ARGUMENT...: for a script that has no other arguments.
parse_dry_run_or_help() {
  while (($#)); do
    case "$1" in
      --help | -h) usage && exit 0 ;;
      --dry-run) DRY_RUN=yes ;;
      *) wrong_usage "It takes --dry-run and --help only, not \"$1\". Nothing was done." ;;
    esac
    shift
  done
}

# --- Steps ----------------------------------------------------------------------------------------------------------

_current_step=""

# step NAME: a step begins, and the one before is over. WEARON_FAIL_AFTER=NAME is for tests only: the script then kills
# itself with SIGKILL when that step is over, as a lost machine would.
step() {
  end_of_step
  _current_step="$1"
}

end_of_step() {
  if [[ -n $_current_step && ${WEARON_FAIL_AFTER:-} == "$_current_step" ]]; then
    kill -KILL "$$"
  fi
}

# --- Dry run --------------------------------------------------------------------------------------------------------

DRY_RUN=${DRY_RUN:-no}

# act WHAT COMMAND...: does it, or with --dry-run says what would be done. WHAT is a sentence without its dot.
act() {
  if [[ $DRY_RUN == yes ]]; then
    say "would $1"
  else
    say "      $1"
    "${@:2}"
  fi
}
