-- What is settled stays settled, whoever opens a row again; accounts that are gone; workers whose lease ran out.
--
-- What is new, in the functions that workers of version 2 and wearon call already, under their names and with their
-- answers, so that the version stays what it is:
--   claim and fail            a session that we completed and that somebody opened again is closed again: it is not run
--                             a second time, and nothing is given back for a picture that was delivered
--   fail                      a charge whose account is gone is on record as unproven and the session ends; before, every
--                             try to give it back broke, and the session stayed open for ever
--                             an overage of a request with several sessions is told to billing with that hint
--   activity and story        alive is whose lease lasts: after a power loss of the only host nobody declares anybody
--                             dead; a picture that the platform has deleted is not called stored
--
-- Additive, and safe to apply again. The files before this one, applied again by themselves, bring the older answers
-- back; apply this one again after them.

-- Internal: closes a session again that we completed and somebody opened; whether that was so. The row is locked.
create or replace function wearon_worker.closed_again(
    p_channel text, p_session_id uuid, p_claim wearon_worker.claims
) returns boolean language plpgsql set search_path = ''
as $$
begin
    if p_claim.outcome is distinct from 'completed' then
        return false;
    end if;
    perform wearon_worker.set_status(p_channel, p_session_id, 'completed');
    return true;
end;
$$;

-- Internal: whether the balance that such a charge is given back to is still there. The platform's functions either
-- break without it, or write a line in the ledger by which nobody gets anything.
create or replace function wearon_worker.has_account(
    p_channel text, p_kind text, p_owner_id uuid, p_shopper_email text
) returns boolean language plpgsql volatile set search_path = ''
as $$
begin
    return case p_kind
        when 'user_credit' then
            exists (select 1 from public.user_credits u where u.user_id = p_owner_id)
        when 'store_credit' then
            exists (select 1 from public.store_credits s where s.store_id = p_owner_id)
        when 'shopper_credit' then
            exists (select 1 from public.store_shopper_credits s
                    where s.store_id = p_owner_id and s.shopper_email = p_shopper_email)
        else true
    end;
end;
$$;

-- Internal: whether the one overage that a request can have in the ledger stands for another of its sessions as well:
-- one that was delivered, or that billing was told of. Each try may have been charged outside; the ledger proves one.
-- (Where a deduction paid for the other one, the overage is this one's.)
create or replace function wearon_worker.is_overage_of_another(p_session_id uuid, p_owner_id uuid, p_request_id text)
returns boolean language plpgsql volatile set search_path = ''
as $$
begin
    return exists (
        select 1 from public.store_generation_sessions s
        where s.store_id = p_owner_id and s.request_id = p_request_id and s.id <> p_session_id
          and (s.status::text = 'completed' or exists (
              select 1 from wearon_worker.refunds r
              where r.channel = 'b2b' and r.session_id = s.id and r.kind = 'store_overage')));
end;
$$;

-- Internal: whether a session's picture can still be there. The platform's clean-up writes "expired" for its link.
create or replace function wearon_worker.has_picture(p_generated_image_url text)
returns boolean language sql immutable set search_path = ''
as $$ select p_generated_image_url is not null and p_generated_image_url <> 'expired' $$;

-- Internal: gives back what the producer charged for a session, once for ever; the row and the charge are locked.
create or replace function wearon_worker.give_back(
    p_channel text, p_session_id uuid, p_owner_id uuid, p_request_id text, p_credits_used integer, p_metadata jsonb,
    p_reason text
) returns jsonb language plpgsql set search_path = ''
as $$
declare
    v_charge      record;
    v_by_platform boolean := wearon_worker.is_given_back(p_channel, p_session_id, p_owner_id, p_request_id);
    v_words       text    := wearon_worker.refund_words(p_channel, p_session_id);
begin
    select * into v_charge
    from wearon_worker.charge_of(p_channel, p_owner_id, p_request_id, p_credits_used, p_metadata);
    if not wearon_worker.has_account(p_channel, v_charge.kind, p_owner_id, v_charge.shopper_email) then
        v_charge.kind := 'unproven_charge';
        v_charge.evidence := jsonb_build_object('account_is_gone', true) || coalesce(v_charge.evidence, '{}');
    elsif v_charge.kind = 'store_overage'
        and not coalesce(v_charge.evidence ? 'deduction_paid_for_another_session', false)
        and wearon_worker.is_overage_of_another(p_session_id, p_owner_id, p_request_id)
    then
        v_charge.evidence :=
            jsonb_build_object('overage_of_another_session', true) || coalesce(v_charge.evidence, '{}');
    end if;
    insert into wearon_worker.refunds
        (channel, session_id, owner_id, request_id, kind, credits, by_platform, reason, evidence)
    values (p_channel, p_session_id, p_owner_id, p_request_id, v_charge.kind, v_charge.credits, v_by_platform, p_reason,
            v_charge.evidence)
    on conflict do nothing;
    if not found or v_by_platform then
        return jsonb_build_object('kind', 'already_refunded', 'credits', 0);
    end if;

    begin
        if v_charge.kind = 'user_credit' then
            perform public.refund_credits(p_owner_id, v_charge.credits, v_words);
        elsif v_charge.kind = 'store_credit' then
            perform public.refund_store_credits(p_owner_id, v_charge.credits, p_request_id, v_words);
        elsif v_charge.kind = 'shopper_credit' then
            -- The platform's function writes the ending with the address itself.
            perform public.refund_store_shopper_credits(
                p_owner_id, v_charge.shopper_email, v_charge.credits, p_request_id, v_words);
        end if;
    exception when unique_violation then
        -- The platform refunded this request between our look and now.
        update wearon_worker.refunds r set by_platform = true
        where r.channel = p_channel and r.session_id = p_session_id;
        return jsonb_build_object('kind', 'already_refunded', 'credits', 0);
    end;
    return jsonb_build_object('kind', v_charge.kind, 'credits', v_charge.credits);
end;
$$;

-- Internal: wearon_worker_claim_v2; p_heeds_job false for the older name, whose workers do not know "not_now".
create or replace function wearon_worker.try_claim(
    p_channel text, p_session_id uuid, p_executor uuid, p_fence uuid, p_attempt_limit integer, p_heeds_job boolean
) returns jsonb language plpgsql set search_path = ''
as $$
declare
    -- A picture is there within 45 s of its request in 95 of 100 cases (NFR-1.1). What begins later than a minute
    -- before the job reads its list would mostly be paid for and not delivered; what begins earlier is mostly done.
    c_begin_lead constant interval := '1 minute';
    v_session record;
    v_claim   wearon_worker.claims;
    v_is_ours boolean;
    v_attempt integer;
    v_wait    double precision;
    v_outcome text;
begin
    select * into v_session from wearon_worker.lock_row(p_channel, p_session_id);
    if not found then
        return jsonb_build_object('outcome', 'missing');
    elsif not wearon_worker.is_open(v_session.status) then
        return jsonb_build_object('outcome', 'settled', 'status', v_session.status);
    elsif not wearon_worker.is_live(p_executor) then
        return jsonb_build_object('outcome', 'executor_dead');
    end if;
    v_claim := wearon_worker.hold_claim(p_channel, p_session_id);
    if wearon_worker.closed_again(p_channel, p_session_id, v_claim) then
        return jsonb_build_object('outcome', 'settled', 'status', 'completed');
    end if;
    v_is_ours := coalesce(v_claim.executor = p_executor and v_claim.fence = p_fence, false);
    if not v_is_ours and v_claim.executor is not null and wearon_worker.is_live(v_claim.executor) then
        return jsonb_build_object('outcome', 'owned', 'same_executor', v_claim.executor = p_executor);
    end if;

    v_attempt := v_claim.attempt + case when v_is_ours then 0 else 1 end;
    if wearon_worker.is_given_back(p_channel, p_session_id, v_session.owner_id, v_session.request_id) then
        v_outcome := 'refunded';
    elsif v_attempt > p_attempt_limit then
        v_outcome := 'exhausted';
    else
        v_outcome := 'claimed';
        if p_heeds_job and p_channel = 'b2c' then
            v_wait := wearon_worker.seconds_until_past_the_job(
                v_session.created_at, wearon_worker.clock(), c_begin_lead);
        end if;
        if v_wait is not null then
            return jsonb_build_object('outcome', 'not_now', 'retry_after_seconds', v_wait);
        end if;
        perform wearon_worker.set_status(p_channel, p_session_id, 'processing');
    end if;
    if not v_is_ours then
        update wearon_worker.claims c
        set executor = p_executor, fence = p_fence, attempt = v_attempt, claimed_at = wearon_worker.clock()
        where c.channel = p_channel and c.session_id = p_session_id;
    end if;
    return jsonb_build_object(
        'outcome', v_outcome, 'owner_id', v_session.owner_id, 'attempt', v_attempt,
        'rate_limited', v_claim.rate_limited);
end;
$$;

-- Internal: wearon_worker_fail_v2; p_heeds_job as for try_claim.
create or replace function wearon_worker.try_fail(
    p_channel text, p_session_id uuid, p_fence uuid, p_error_message text, p_reason text, p_heeds_job boolean
) returns jsonb language plpgsql set search_path = ''
as $$
declare
    v_session record;
    v_claim   wearon_worker.claims;
    v_refund  jsonb;
    v_wait    double precision;
begin
    select * into v_session from wearon_worker.lock_row(p_channel, p_session_id);
    if not found then
        return jsonb_build_object('outcome', 'missing');
    end if;
    v_claim := wearon_worker.find_claim(p_channel, p_session_id);

    if p_fence is not null and v_claim.fence = p_fence and v_claim.outcome = 'failed' and v_session.status = 'failed' then
        return jsonb_build_object(
            'outcome', 'failed', 'request_id', v_session.request_id,
            'refund', jsonb_build_object('kind', 'already_refunded', 'credits', 0));
    elsif not wearon_worker.is_open(v_session.status) then
        return jsonb_build_object('outcome', 'settled', 'status', v_session.status);
    elsif wearon_worker.closed_again(p_channel, p_session_id, v_claim) then
        return jsonb_build_object('outcome', 'settled', 'status', 'completed');
    elsif p_fence is null and v_claim.executor is not null and wearon_worker.is_live(v_claim.executor) then
        return jsonb_build_object('outcome', 'owned');
    elsif p_fence is not null and (v_claim.fence is distinct from p_fence or v_claim.executor is null) then
        return jsonb_build_object('outcome', 'lost');
    end if;

    perform wearon_worker.lock_charge(p_channel, v_session.owner_id, v_session.request_id);
    if p_heeds_job and p_channel = 'b2c'
        and not wearon_worker.is_given_back(p_channel, p_session_id, v_session.owner_id, v_session.request_id)
    then
        v_wait := wearon_worker.seconds_until_past_the_job(
            v_session.created_at, wearon_worker.clock(), wearon_worker.settle_lead());
        if v_wait is not null then
            return jsonb_build_object('outcome', 'not_now', 'retry_after_seconds', v_wait);
        end if;
    end if;

    perform wearon_worker.hold_claim(p_channel, p_session_id);
    v_refund := wearon_worker.give_back(
        p_channel, p_session_id, v_session.owner_id, v_session.request_id, v_session.credits_used, v_session.metadata,
        p_reason);
    if p_channel = 'b2c' then
        update public.generation_sessions set status = 'failed', error_message = p_error_message
        where id = p_session_id;
    else
        update public.store_generation_sessions set status = 'failed', error_message = p_error_message
        where id = p_session_id;
    end if;
    update wearon_worker.claims c set executor = null, outcome = 'failed', settled_at = wearon_worker.clock()
    where c.channel = p_channel and c.session_id = p_session_id;
    return jsonb_build_object('outcome', 'failed', 'request_id', v_session.request_id, 'refund', v_refund);
end;
$$;

-- As in the file before, but for "alive": its lease lasts.
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
            'executor', e.executor, 'host', e.host, 'alive', e.dead_at is null and e.expires_at > now(),
            'started_at', e.started_at,
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

-- As in the file before, but for "alive" and "has_picture".
create or replace function public.wearon_worker_story(p_session_id uuid)
returns jsonb language sql stable security definer set search_path = '' set statement_timeout = '5s'
as $$
with sessions as (
    select 'b2c' as channel, s.user_id as owner_id, null::text as request_id, s.status::text as status, s.created_at,
           s.completed_at, s.processing_time_ms, s.input_tokens, s.output_tokens, s.estimated_cost_usd::text,
           s.credits_used, s.error_message, wearon_worker.has_picture(s.generated_image_url) as has_picture
    from public.generation_sessions s where s.id = p_session_id
    union all
    select 'b2b', s.store_id, s.request_id, s.status::text, s.created_at, s.completed_at, s.processing_time_ms,
           s.input_tokens, s.output_tokens, s.estimated_cost_usd::text, s.credits_used, s.error_message,
           wearon_worker.has_picture(s.generated_image_url)
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
            'alive', e.executor is not null and e.dead_at is null and e.expires_at > now(), 'attempt', c.attempt,
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
