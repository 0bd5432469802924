# shellcheck shell=bash
# supabase/migrations in order, each in one transaction, by a psql container that is removed afterwards. They only add and
# may be applied again, all of them: the older ones alone would bring their older functions back (README). DATABASE_URL is
# given for one run: it is not stored, and no process list shows it.

apply_migrations() {
  local file files=() newest had
  for file in "$WEARON_HOME"/supabase/migrations/*.sql; do
    [[ -e $file ]] || die "No file in $WEARON_HOME/supabase/migrations. Copy the bundle again."
    files+=(--file "/migrations/${file##*/}")
  done
  newest=${file##*/}
  had=$(if [[ -r $MIGRATIONS_FILE ]]; then cat "$MIGRATIONS_FILE"; fi)
  if [[ $had > $newest ]]; then
    warn "No migration is applied: the files here are those of an older release and end with $newest, and the database has had $had. Older workers know the newer schema."
    return 0
  fi
  act "apply $((${#files[@]} / 2)) migrations" _psql "${files[@]}" ||
    die "The database did not take the migrations; its words are above. Nothing else was changed. Mend it and run this again."
  if [[ $had != "$newest" ]]; then
    act "note $newest in $MIGRATIONS_FILE" write_by_rename "$MIGRATIONS_FILE" 0644 printf '%s\n' "$newest"
  fi
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
