-- What the operator's command line (`wearon`) reads. No worker needs it, so the schema's version stays what it is.
--
--   wearon_worker_activity(since)    who is alive, what is open, what was settled since then and how quickly
--   wearon_worker_story(session)     everything the database knows about one session
--   wearon_worker_costs(since)       estimated cost of the completed sessions, by day and channel
--
-- Nothing here changes a row or waits for a lock. Each has a time limit of its own, which the API applies before it
-- calls (PostgREST, "hoisted function settings"): a long table makes the operator wait, and nobody else.
-- No answer holds a link to a picture. Additive, and safe to apply again.

-- "executors": the live ones, and the dead that still hold claims. "completed" and "failed" are what workers settled
-- since then; what the platform itself failed is not among them. Times in seconds.
create or replace function public.wearon_worker_activity(p_since timestamptz)
returns jsonb language sql stable security definer set search_path = '' set statement_timeout = '5s'
as $$
with settled as (
    select c.channel, c.session_id, c.outcome
    from wearon_worker.claims c
    -- The first condition is the one that has an index (claims_age_idx).
    where coalesce(c.settled_at, c.claimed_at, '-infinity') >= p_since and c.settled_at >= p_since
),
completed as (
    select extract(epoch from s.completed_at - s.created_at)::double precision as whole_seconds,
           (s.processing_time_ms / 1000.0)::double precision as processing_seconds
    from settled c join public.generation_sessions s on s.id = c.session_id
    where c.channel = 'b2c' and c.outcome = 'completed'
    union all
    select extract(epoch from s.completed_at - s.created_at)::double precision,
           (s.processing_time_ms / 1000.0)::double precision
    from settled c join public.store_generation_sessions s on s.id = c.session_id
    where c.channel = 'b2b' and c.outcome = 'completed'
),
times as (
    select percentile_cont(array[0.5, 0.95]) within group (order by t.whole_seconds) as whole,
           percentile_cont(array[0.5, 0.95]) within group (order by t.processing_seconds) as processing
    from completed t
),
failed as (
    select coalesce(r.reason, 'not on record') as reason, count(*) as sessions
    from settled c
    left join wearon_worker.refunds r on r.channel = c.channel and r.session_id = c.session_id
    where c.outcome = 'failed'
    group by 1
),
open as (
    select s.status::text as status, s.created_at from public.generation_sessions s
    where s.status in ('pending', 'queued', 'processing')
    union all
    select s.status::text, s.created_at from public.store_generation_sessions s
    where s.status in ('queued', 'processing')
),
holding as (
    select c.executor, count(*) as claims from wearon_worker.claims c where c.executor is not null group by c.executor
)
select jsonb_build_object(
    'now', now(),
    'executors', coalesce((
        select jsonb_agg(jsonb_build_object(
            'executor', e.executor, 'host', e.host, 'alive', e.dead_at is null, 'started_at', e.started_at,
            'lease_seconds', extract(epoch from e.expires_at - now()), 'claims', coalesce(h.claims, 0))
            order by e.started_at)
        from wearon_worker.executors e left join holding h on h.executor = e.executor
        where e.dead_at is null or h.claims > 0), '[]'),
    'queued', (select count(*) from open o where o.status <> 'processing'),
    'processing', (select count(*) from open o where o.status = 'processing'),
    'oldest_open_at', (select min(o.created_at) from open o),
    'completed', (select count(*) from settled c where c.outcome = 'completed'),
    'failed', coalesce((select jsonb_object_agg(f.reason, f.sessions) from failed f), '{}'),
    'whole_p50_seconds', (select t.whole[1] from times t),
    'whole_p95_seconds', (select t.whole[2] from times t),
    'processing_p50_seconds', (select t.processing[1] from times t),
    'processing_p95_seconds', (select t.processing[2] from times t))
$$;

-- "sessions": its row, of each table that has one. "claims" and "refunds" stand beside it, because they may outlive it.
-- "ledger": the platform's lines of its request (b2b), or those that name it (b2c: only refunds do). "given_back" is what
-- decides whether a worker may still run it.
create or replace function public.wearon_worker_story(p_session_id uuid)
returns jsonb language sql stable security definer set search_path = '' set statement_timeout = '5s'
as $$
with sessions as (
    select 'b2c' as channel, s.user_id as owner_id, null::text as request_id, s.status::text as status, s.created_at,
           s.completed_at, s.processing_time_ms, s.input_tokens, s.output_tokens, s.estimated_cost_usd::text,
           s.credits_used, s.error_message, s.generated_image_url is not null as has_picture
    from public.generation_sessions s where s.id = p_session_id
    union all
    select 'b2b', s.store_id, s.request_id, s.status::text, s.created_at, s.completed_at, s.processing_time_ms,
           s.input_tokens, s.output_tokens, s.estimated_cost_usd::text, s.credits_used, s.error_message,
           s.generated_image_url is not null
    from public.store_generation_sessions s where s.id = p_session_id
),
ledger as (
    select 'b2b' as channel, t.type::text as type, t.amount,
           wearon_worker.shopper_of(t.description) is not null as is_shopper, to_jsonb(t) ->> 'created_at' as written_at
    from sessions s
    join public.store_credit_transactions t on t.store_id = s.owner_id and t.request_id = s.request_id
    where s.channel = 'b2b'
    union all
    select 'b2c', t.type::text, t.amount, false, to_jsonb(t) ->> 'created_at'
    from sessions s
    join public.credit_transactions t on t.user_id = s.owner_id
    where s.channel = 'b2c' and strpos(lower(t.description), p_session_id::text) > 0
)
select jsonb_build_object(
    'now', now(),
    'sessions', coalesce((
        select jsonb_agg(to_jsonb(s) || jsonb_build_object('given_back',
            wearon_worker.is_given_back(s.channel, p_session_id, s.owner_id, s.request_id)))
        from sessions s), '[]'),
    'claims', coalesce((
        select jsonb_agg(jsonb_build_object(
            'channel', c.channel, 'executor', c.executor, 'host', e.host,
            'alive', e.executor is not null and e.dead_at is null, 'attempt', c.attempt,
            'rate_limited', c.rate_limited, 'claimed_at', c.claimed_at, 'outcome', c.outcome,
            'settled_at', c.settled_at))
        from wearon_worker.claims c left join wearon_worker.executors e on e.executor = c.executor
        where c.channel in ('b2b', 'b2c') and c.session_id = p_session_id), '[]'),
    'refunds', coalesce((
        select jsonb_agg(jsonb_build_object(
            'channel', r.channel, 'kind', r.kind, 'credits', r.credits, 'by_platform', r.by_platform,
            'reason', r.reason, 'refunded_at', r.refunded_at))
        from wearon_worker.refunds r
        where r.channel in ('b2b', 'b2c') and r.session_id = p_session_id), '[]'),
    'ledger', coalesce((select jsonb_agg(to_jsonb(l) order by l.written_at) from ledger l), '[]'))
$$;

-- Days are UTC's. "unpriced" sessions are completed without an estimate. What was spent on a picture that was not
-- delivered stands in no row. The amount is text: JSON numbers are binary floating point, and this is money.
create or replace function public.wearon_worker_costs(p_since timestamptz)
returns table (
    day date, channel text, pictures bigint, unpriced bigint, input_tokens bigint, output_tokens bigint,
    estimated_cost_usd text
) language sql stable security definer set search_path = '' set statement_timeout = '5s'
as $$
    select (m.completed_at at time zone 'UTC')::date, m.channel, count(*),
           count(*) filter (where m.estimated_cost_usd is null), coalesce(sum(m.input_tokens), 0),
           coalesce(sum(m.output_tokens), 0), coalesce(sum(m.estimated_cost_usd), 0)::text
    from (
        select 'b2c'::text as channel, s.completed_at, s.input_tokens, s.output_tokens, s.estimated_cost_usd
        from public.generation_sessions s
        where s.status = 'completed' and s.completed_at >= coalesce(p_since, '-infinity')
        union all
        select 'b2b', s.completed_at, s.input_tokens, s.output_tokens, s.estimated_cost_usd
        from public.store_generation_sessions s
        where s.status = 'completed' and s.completed_at >= coalesce(p_since, '-infinity')
    ) m
    group by 1, 2
    order by 1, 2
$$;

-- Functions in "public" are open to every browser through the REST API unless the right is taken away.
do $$
declare
    v_function record;
begin
    for v_function in
        select p.oid::regprocedure as signature, n.nspname = 'public' as is_api
        from pg_catalog.pg_proc p
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'wearon_worker' or (n.nspname = 'public' and p.proname like 'wearon\_worker\_%')
    loop
        execute format('revoke all on function %s from public, anon, authenticated, service_role', v_function.signature);
        if v_function.is_api then
            execute format('grant execute on function %s to service_role', v_function.signature);
        end if;
    end loop;
end;
$$;
