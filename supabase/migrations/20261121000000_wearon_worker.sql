-- The worker's own state and the only ways it changes a session.
--
-- Every state change that matters is one function, so one transaction: claim, release, complete,
-- fail (which also undoes the charge), recover. The platform's objects are touched only through the columns
-- the worker may write and through the platform's own refund functions.
--
-- Words:
--   executor  one Celery process of one worker, named by a random id for its whole life
--   claim     an executor's right to run one session
--   fence     names one run; only the run that holds the claim can complete, release or fail the session
--
-- Lock order everywhere: session row, then claim row. Additive, and safe to apply again.

create schema if not exists wearon_worker;
revoke all on schema wearon_worker from public;

create table if not exists wearon_worker.executors (
    executor         uuid        primary key,
    host             text        not null,
    started_at       timestamptz not null default now(),
    expires_at       timestamptz not null,
    -- Since when the lease was renewed without a gap; a gap is more than half a lease between two renewals. Only an
    -- executor that itself was not cut off for one lease time may declare another dead; so an outage of this
    -- database never makes live workers look dead: they renew every quarter of a lease, so an outage after which one
    -- of them is late by a whole lease leaves a gap of more than half a lease for everybody, judges included.
    continuous_since timestamptz not null default now(),
    -- Final: a dead executor never comes back to life; its process takes a new id.
    dead_at          timestamptz
);

create table if not exists wearon_worker.claims (
    channel      text        not null check (channel in ('b2b', 'b2c')),
    session_id   uuid        not null,
    -- Null: nobody holds the claim (handed back, recovered from a dead executor, or settled).
    executor     uuid,
    fence        uuid,
    -- Runs begun and not handed back: what a worker's death uses up.
    attempt      integer     not null default 0 check (attempt >= 0),
    -- How often the provider's rate limit sent the session back to the queue.
    rate_limited integer     not null default 0,
    claimed_at   timestamptz,
    outcome      text        check (outcome in ('completed', 'failed')),
    settled_at   timestamptz,
    primary key (channel, session_id)
);

create index if not exists claims_executor_idx on wearon_worker.claims (executor) where executor is not null;

create table if not exists wearon_worker.refunds (
    channel     text        not null check (channel in ('b2b', 'b2c')),
    session_id  uuid        not null,
    owner_id    uuid        not null,
    request_id  text,
    -- What the producer charged, and so what was given back. For 'store_overage' no balance was touched:
    -- the row is the record from which billing reverses the outside charge.
    kind        text        not null
                check (kind in ('user_credit', 'store_credit', 'shopper_credit', 'store_overage', 'nothing_charged')),
    credits     integer     not null check (credits >= 0),
    -- The platform had already given the credit back for this request (its ledger refused a second refund).
    by_platform boolean     not null default false,
    reason      text        not null,
    refunded_at timestamptz not null default now(),
    -- This key is the promise: one refund per session, for ever.
    primary key (channel, session_id)
);

create index if not exists refunds_overage_idx on wearon_worker.refunds (refunded_at) where kind = 'store_overage';

-- Internal: reads and locks one session row of either table. No row: no such session.
create or replace function wearon_worker.lock_session(p_channel text, p_session_id uuid)
returns table (owner_id uuid, status text, credits_used integer, request_id text, shopper_email text)
language plpgsql
set search_path = ''
as $$
begin
    if p_channel = 'b2c' then
        return query
            select s.user_id, s.status::text, s.credits_used, null::text, null::text
            from public.generation_sessions s where s.id = p_session_id for update;
    elsif p_channel = 'b2b' then
        return query
            select s.store_id, s.status::text, s.credits_used, s.request_id, s.shopper_email
            from public.store_generation_sessions s where s.id = p_session_id for update;
    else
        raise exception 'unknown channel %', p_channel using errcode = 'invalid_parameter_value';
    end if;
end;
$$;

-- Internal: a session that somebody still waits for. 'pending' is the legacy b2c form of 'queued'.
create or replace function wearon_worker.is_open(p_status text)
returns boolean language sql immutable set search_path = ''
as $$ select p_status in ('pending', 'queued', 'processing') $$;

-- Internal: may still finish what it claimed. Only wearon_worker_recover and _retire end an executor's life,
-- so a late renewal alone does not.
create or replace function wearon_worker.is_live(p_executor uuid)
returns boolean language sql stable set search_path = ''
as $$ select exists (select 1 from wearon_worker.executors e where e.executor = p_executor and e.dead_at is null) $$;

-- Internal: the status a person watches through Realtime.
create or replace function wearon_worker.set_status(p_channel text, p_session_id uuid, p_status text)
returns void language plpgsql set search_path = ''
as $$
begin
    if p_channel = 'b2c' then
        update public.generation_sessions set status = p_status
        where id = p_session_id and status is distinct from p_status;
    else
        update public.store_generation_sessions set status = p_status
        where id = p_session_id and status is distinct from p_status;
    end if;
end;
$$;

-- Internal: locks the session's claim row, making it if there is none yet. The session row is locked already.
create or replace function wearon_worker.lock_claim(p_channel text, p_session_id uuid)
returns wearon_worker.claims language plpgsql set search_path = ''
as $$
declare
    v_claim wearon_worker.claims;
begin
    insert into wearon_worker.claims (channel, session_id) values (p_channel, p_session_id)
    on conflict do nothing;
    select * into v_claim from wearon_worker.claims c
    where c.channel = p_channel and c.session_id = p_session_id for update;
    return v_claim;
end;
$$;

-- Internal: which charge is to be undone. The session's own records decide, not the store's mode of today,
-- because the mode may have changed since the charge:
--   an 'overage' row of this request    no balance was touched
--   a shopper on the row who has paid   the shopper's balance
--   otherwise                           the store's balance
create or replace function wearon_worker.charge_kind(
    p_channel text, p_owner_id uuid, p_request_id text, p_shopper_email text, p_credits integer
) returns text language plpgsql stable set search_path = ''
as $$
begin
    if p_credits = 0 then
        return 'nothing_charged';
    elsif p_channel = 'b2c' then
        return 'user_credit';
    elsif exists (
        select 1 from public.store_credit_transactions t
        where t.store_id = p_owner_id and t.request_id = p_request_id and t.type = 'overage'
    ) then
        return 'store_overage';
    elsif exists (
        select 1 from public.store_shopper_credits c
        where c.store_id = p_owner_id and c.shopper_email = lower(p_shopper_email)
          and (c.total_spent >= p_credits
               or exists (select 1 from public.stores s where s.id = p_owner_id and s.billing_mode = 'resell_mode'))
    ) then
        return 'shopper_credit';
    end if;
    return 'store_credit';
end;
$$;

-- Internal: whether the charge was undone; then the session may never be completed, whoever opened it again.
create or replace function wearon_worker.is_refunded(p_channel text, p_session_id uuid)
returns boolean language sql stable set search_path = ''
as $$
    select exists (
        select 1 from wearon_worker.refunds r where r.channel = p_channel and r.session_id = p_session_id)
$$;

-- Internal: gives back what the producer charged for a session, once for ever.
create or replace function wearon_worker.undo_charge(
    p_channel text, p_session_id uuid, p_owner_id uuid, p_credits_used integer,
    p_request_id text, p_shopper_email text, p_reason text
) returns jsonb language plpgsql set search_path = ''
as $$
declare
    -- The platform's default for the column is one credit.
    v_credits     integer := greatest(coalesce(p_credits_used, 1), 0);
    v_request_id  text    := coalesce(p_request_id, p_session_id::text);
    v_kind        text    := wearon_worker.charge_kind(p_channel, p_owner_id, v_request_id, p_shopper_email, v_credits);
    v_description text    := 'Refund: the try-on could not be made';
    v_by_platform boolean := false;
begin
    insert into wearon_worker.refunds (channel, session_id, owner_id, request_id, kind, credits, reason)
    values (p_channel, p_session_id, p_owner_id, p_request_id, v_kind, v_credits, p_reason)
    on conflict do nothing;
    if not found then
        return jsonb_build_object('kind', 'already_refunded', 'credits', 0);
    end if;

    begin
        if v_kind = 'user_credit' then
            perform public.refund_credits(p_owner_id, v_credits, v_description);
        elsif v_kind = 'store_credit' then
            perform public.refund_store_credits(p_owner_id, v_credits, v_request_id, v_description);
        elsif v_kind = 'shopper_credit' then
            perform public.refund_store_shopper_credits(
                p_owner_id, lower(p_shopper_email), v_credits, v_request_id, v_description);
        end if;
    exception when unique_violation then
        -- The ledger holds a refund of this request: the platform was there first.
        v_by_platform := true;
        update wearon_worker.refunds r set by_platform = true
        where r.channel = p_channel and r.session_id = p_session_id;
    end;
    return jsonb_build_object(
        'kind', case when v_by_platform then 'already_refunded' else v_kind end,
        'credits', case when v_by_platform then 0 else v_credits end);
end;
$$;

-- Internal: takes all claims from an executor that is dead; its open sessions wait in the queue again.
create or replace function wearon_worker.release_claims_of(p_executor uuid)
returns integer language plpgsql set search_path = ''
as $$
declare
    v_claim    record;
    v_session  record;
    v_released integer := 0;
begin
    for v_claim in
        select c.channel, c.session_id from wearon_worker.claims c where c.executor = p_executor
        order by c.channel, c.session_id
    loop
        select * into v_session from wearon_worker.lock_session(v_claim.channel, v_claim.session_id);
        update wearon_worker.claims c set executor = null
        where c.channel = v_claim.channel and c.session_id = v_claim.session_id and c.executor = p_executor;
        if found then
            v_released := v_released + 1;
            if v_session.status = 'processing' then
                perform wearon_worker.set_status(v_claim.channel, v_claim.session_id, 'queued');
            end if;
        end if;
    end loop;
    return v_released;
end;
$$;

-- The version of everything in this file, asked at start-up.
create or replace function public.wearon_worker_schema_version()
returns integer language sql immutable set search_path = ''
as $$ select 1 $$;

-- Renews an executor's lease, or registers it. Answer: {"alive": false} when it was declared dead.
create or replace function public.wearon_worker_heartbeat(p_executor uuid, p_host text, p_lease_seconds double precision)
returns jsonb language plpgsql security definer set search_path = ''
as $$
declare
    v_now  timestamptz := clock_timestamp();
    v_dead timestamptz;
begin
    insert into wearon_worker.executors as e (executor, host, started_at, expires_at, continuous_since)
    values (p_executor, p_host, v_now, v_now + make_interval(secs => p_lease_seconds), v_now)
    on conflict (executor) do update set
        expires_at = excluded.expires_at,
        continuous_since = case
            when e.expires_at < v_now + make_interval(secs => p_lease_seconds / 2) then v_now
            else e.continuous_since end
    returning e.dead_at into v_dead;
    return jsonb_build_object('alive', v_dead is null);
end;
$$;

-- Takes a session to run it. "outcome" of the answer:
--   claimed       ours: run it ("owner_id", "attempt", "rate_limited")
--   exhausted     ours, but it may not run again (too many attempts, or refunded already): fail it
--   owned         another run holds it ("same_executor": by this very executor)
--   settled       completed or failed already ("status")
--   missing       no such session
--   executor_dead the caller was declared dead and may take nothing
-- A repeated call with the same fence gets the same answer: a lost reply costs nothing.
create or replace function public.wearon_worker_claim(
    p_channel text, p_session_id uuid, p_executor uuid, p_fence uuid, p_attempt_limit integer
) returns jsonb language plpgsql security definer set search_path = ''
as $$
declare
    v_session record;
    v_claim   wearon_worker.claims;
    v_attempt integer;
    v_may_run boolean;
begin
    select * into v_session from wearon_worker.lock_session(p_channel, p_session_id);
    if not found then
        return jsonb_build_object('outcome', 'missing');
    end if;
    v_claim := wearon_worker.lock_claim(p_channel, p_session_id);

    if not wearon_worker.is_open(v_session.status) then
        return jsonb_build_object('outcome', 'settled', 'status', v_session.status);
    elsif not wearon_worker.is_live(p_executor) then
        return jsonb_build_object('outcome', 'executor_dead');
    elsif v_claim.executor = p_executor and v_claim.fence = p_fence then
        v_attempt := v_claim.attempt;
    elsif v_claim.executor is not null and wearon_worker.is_live(v_claim.executor) then
        return jsonb_build_object('outcome', 'owned', 'same_executor', v_claim.executor = p_executor);
    else
        v_attempt := v_claim.attempt + 1;
        update wearon_worker.claims c
        set executor = p_executor, fence = p_fence, attempt = v_attempt, claimed_at = clock_timestamp()
        where c.channel = p_channel and c.session_id = p_session_id;
    end if;

    v_may_run := v_attempt <= p_attempt_limit and not wearon_worker.is_refunded(p_channel, p_session_id);
    if v_may_run then
        perform wearon_worker.set_status(p_channel, p_session_id, 'processing');
    end if;
    return jsonb_build_object(
        'outcome', case when v_may_run then 'claimed' else 'exhausted' end,
        'owner_id', v_session.owner_id,
        'attempt', v_attempt,
        'rate_limited', v_claim.rate_limited);
end;
$$;

-- Hands a claimed session back to the queue; the run does not count as an attempt.
-- "outcome": released | lost (another run holds it) | settled | missing
create or replace function public.wearon_worker_release(
    p_channel text, p_session_id uuid, p_fence uuid, p_rate_limited boolean
) returns jsonb language plpgsql security definer set search_path = ''
as $$
declare
    v_session record;
    v_claim   wearon_worker.claims;
begin
    select * into v_session from wearon_worker.lock_session(p_channel, p_session_id);
    if not found then
        return jsonb_build_object('outcome', 'missing');
    end if;
    v_claim := wearon_worker.lock_claim(p_channel, p_session_id);

    if not wearon_worker.is_open(v_session.status) then
        return jsonb_build_object('outcome', 'settled', 'status', v_session.status);
    elsif v_claim.fence is distinct from p_fence then
        return jsonb_build_object('outcome', 'lost');
    elsif v_claim.executor is not null then
        update wearon_worker.claims c
        set executor = null,
            attempt = greatest(c.attempt - 1, 0),
            rate_limited = c.rate_limited + p_rate_limited::integer
        where c.channel = p_channel and c.session_id = p_session_id;
        perform wearon_worker.set_status(p_channel, p_session_id, 'queued');
    end if;
    return jsonb_build_object('outcome', 'released');
end;
$$;

-- Marks a session completed. "outcome": completed | lost | settled | missing. Safe to repeat.
create or replace function public.wearon_worker_complete(
    p_channel text, p_session_id uuid, p_fence uuid, p_generated_image_url text, p_processing_time_ms integer,
    p_input_tokens integer, p_output_tokens integer, p_estimated_cost_usd numeric
) returns jsonb language plpgsql security definer set search_path = ''
as $$
declare
    v_session record;
    v_claim   wearon_worker.claims;
begin
    select * into v_session from wearon_worker.lock_session(p_channel, p_session_id);
    if not found then
        return jsonb_build_object('outcome', 'missing');
    end if;
    v_claim := wearon_worker.lock_claim(p_channel, p_session_id);

    if v_claim.fence = p_fence and v_claim.outcome = 'completed' and v_session.status = 'completed' then
        return jsonb_build_object('outcome', 'completed');
    elsif not wearon_worker.is_open(v_session.status) then
        return jsonb_build_object('outcome', 'settled', 'status', v_session.status);
    elsif v_claim.fence is distinct from p_fence or v_claim.executor is null
        or wearon_worker.is_refunded(p_channel, p_session_id)
    then
        return jsonb_build_object('outcome', 'lost');
    end if;

    -- error_message is emptied: a message written for a retry must not stay on a completed row.
    if p_channel = 'b2c' then
        update public.generation_sessions set
            status = 'completed', generated_image_url = p_generated_image_url, error_message = null,
            processing_time_ms = p_processing_time_ms, completed_at = clock_timestamp(),
            input_tokens = p_input_tokens, output_tokens = p_output_tokens, estimated_cost_usd = p_estimated_cost_usd
        where id = p_session_id;
    else
        update public.store_generation_sessions set
            status = 'completed', generated_image_url = p_generated_image_url, error_message = null,
            processing_time_ms = p_processing_time_ms, completed_at = clock_timestamp(),
            input_tokens = p_input_tokens, output_tokens = p_output_tokens, estimated_cost_usd = p_estimated_cost_usd
        where id = p_session_id;
    end if;
    update wearon_worker.claims c set executor = null, outcome = 'completed', settled_at = clock_timestamp()
    where c.channel = p_channel and c.session_id = p_session_id;
    return jsonb_build_object('outcome', 'completed');
end;
$$;

-- Marks a session failed and gives back what the producer charged, in one transaction.
-- p_fence null: said by nobody who runs it (recovery, a bad queue element); then only if no live executor holds it.
-- "outcome": failed ("refund": {"kind", "credits"}; "request_id", which b2c rows do not have)
--   | lost | owned | settled | missing. Safe to repeat.
create or replace function public.wearon_worker_fail(
    p_channel text, p_session_id uuid, p_fence uuid, p_error_message text, p_reason text
) returns jsonb language plpgsql security definer set search_path = ''
as $$
declare
    v_session record;
    v_claim   wearon_worker.claims;
    v_refund  jsonb;
begin
    select * into v_session from wearon_worker.lock_session(p_channel, p_session_id);
    if not found then
        return jsonb_build_object('outcome', 'missing');
    end if;
    v_claim := wearon_worker.lock_claim(p_channel, p_session_id);

    if p_fence is not null and v_claim.fence = p_fence and v_claim.outcome = 'failed' and v_session.status = 'failed' then
        return jsonb_build_object(
            'outcome', 'failed', 'request_id', v_session.request_id,
            'refund', jsonb_build_object('kind', 'already_refunded', 'credits', 0));
    elsif not wearon_worker.is_open(v_session.status) then
        return jsonb_build_object('outcome', 'settled', 'status', v_session.status);
    elsif p_fence is null and v_claim.executor is not null and wearon_worker.is_live(v_claim.executor) then
        return jsonb_build_object('outcome', 'owned');
    elsif p_fence is not null and (v_claim.fence is distinct from p_fence or v_claim.executor is null) then
        return jsonb_build_object('outcome', 'lost');
    end if;

    v_refund := wearon_worker.undo_charge(
        p_channel, p_session_id, v_session.owner_id, v_session.credits_used,
        v_session.request_id, v_session.shopper_email, p_reason);
    if p_channel = 'b2c' then
        update public.generation_sessions set status = 'failed', error_message = p_error_message
        where id = p_session_id;
    else
        update public.store_generation_sessions set status = 'failed', error_message = p_error_message
        where id = p_session_id;
    end if;
    update wearon_worker.claims c set executor = null, outcome = 'failed', settled_at = clock_timestamp()
    where c.channel = p_channel and c.session_id = p_session_id;
    return jsonb_build_object('outcome', 'failed', 'request_id', v_session.request_id, 'refund', v_refund);
end;
$$;

-- Declares executors dead whose lease ran out, and takes their claims. Of the executors in p_holders (those with
-- something in flight in Redis) the answer names the ones that are not alive: {"dead": [...]}; their tasks the
-- caller moves back to the queue. Only a caller that renewed its own lease without a gap for one lease time, and
-- lately, judges others.
create or replace function public.wearon_worker_recover(
    p_executor uuid, p_lease_seconds double precision, p_holders uuid[]
) returns jsonb language plpgsql security definer set search_path = ''
as $$
declare
    v_now  timestamptz := clock_timestamp();
    v_dead uuid;
begin
    if exists (
        select 1 from wearon_worker.executors e
        where e.executor = p_executor and e.dead_at is null
          and e.expires_at >= v_now + make_interval(secs => p_lease_seconds / 2)
          and e.continuous_since <= v_now - make_interval(secs => p_lease_seconds)
    ) then
        update wearon_worker.executors e set dead_at = v_now
        where e.executor in (
            select x.executor from wearon_worker.executors x
            where x.dead_at is null and x.expires_at < v_now and x.executor <> p_executor
            for update skip locked);
    end if;
    for v_dead in
        select distinct c.executor from wearon_worker.claims c
        where c.executor is not null and not wearon_worker.is_live(c.executor)
    loop
        perform wearon_worker.release_claims_of(v_dead);
    end loop;
    return jsonb_build_object('dead', coalesce((
        select jsonb_agg(h.executor) from unnest(p_holders) as h(executor)
        where not wearon_worker.is_live(h.executor)), '[]'::jsonb));
end;
$$;

-- Ends an executor's life at once: its process is known to be gone (or about to go), so nobody needs to wait
-- for the lease to run out. Safe to repeat.
create or replace function public.wearon_worker_retire(p_executor uuid)
returns void language plpgsql security definer set search_path = ''
as $$
begin
    update wearon_worker.executors e set dead_at = clock_timestamp()
    where e.executor = p_executor and e.dead_at is null;
    perform wearon_worker.release_claims_of(p_executor);
end;
$$;

-- Open sessions older than the grace that no live executor holds, oldest first, after (p_after, p_after_id).
-- Whether a task still waits for them in Redis is for the caller to find out.
create or replace function public.wearon_worker_unowned_sessions(
    p_grace_seconds double precision, p_after timestamptz, p_after_id uuid, p_limit integer
) returns table (channel text, session_id uuid, created_at timestamptz)
language sql stable security definer set search_path = ''
as $$
    select o.channel, o.session_id, o.created_at
    from (
        select 'b2c'::text as channel, s.id as session_id, s.created_at
        from public.generation_sessions s where s.status in ('pending', 'queued', 'processing')
        union all
        select 'b2b'::text, s.id, s.created_at
        from public.store_generation_sessions s where s.status in ('queued', 'processing')
    ) o
    where o.created_at < now() - make_interval(secs => p_grace_seconds)
      and (o.created_at, o.session_id) > (p_after, p_after_id)
      and not exists (
          select 1 from wearon_worker.claims c
          join wearon_worker.executors e on e.executor = c.executor and e.dead_at is null
          where c.channel = o.channel and c.session_id = o.session_id)
    order by o.created_at, o.session_id
    limit p_limit
$$;

-- For billing: overage charges to reverse outside, oldest first.
create or replace function public.wearon_worker_overage_reversals(p_since timestamptz)
returns table (store_id uuid, session_id uuid, request_id text, credits integer, refunded_at timestamptz)
language sql stable security definer set search_path = ''
as $$
    select r.owner_id, r.session_id, r.request_id, r.credits, r.refunded_at
    from wearon_worker.refunds r
    where r.kind = 'store_overage' and r.refunded_at >= p_since
    order by r.refunded_at
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
