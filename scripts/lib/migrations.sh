# shellcheck shell=bash
# supabase/migrations in order, each in one transaction, by a psql container that is removed afterwards. They only add and
# may be applied again (README). DATABASE_URL is given for one run: it is not stored, and no process list shows it.

apply_migrations() {
  local file files=()
  for file in "$WEARON_HOME"/supabase/migrations/*.sql; do
    [[ -e $file ]] || die "No file in $WEARON_HOME/supabase/migrations. Copy the bundle again."
    files+=(--file "/migrations/${file##*/}")
  done
  act "apply ${#files[@]} migrations" _psql "${files[@]}" ||
    die "The database did not take the migrations; its words are above. Nothing else was changed. Mend it and run this again."
}

# --env with a name only: docker reads the value from its own environment, and psql gets it by PGDATABASE, which may be
# a whole address.
_psql() {
  local image
  image=$(read_env_value "$VERSIONS_FILE" PSQL_IMAGE) || die "PSQL_IMAGE is not in $VERSIONS_FILE. Copy the bundle again."
  PGDATABASE="$DATABASE_URL" docker run --rm --env PGDATABASE --user 65534:65534 --read-only --cap-drop ALL \
    --security-opt no-new-privileges --volume "$WEARON_HOME/supabase/migrations:/migrations:ro" \
    --entrypoint psql "$image" --no-psqlrc --quiet --set ON_ERROR_STOP=1 --single-transaction "$@"
}
