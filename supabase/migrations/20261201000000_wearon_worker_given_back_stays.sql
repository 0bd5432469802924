-- What was given back stays given back, whoever opens a row again; and what billing is told of it.
--
-- What is new, in functions under their names and with their answers, so that the version stays what it is:
--   claim and fail            a session that we completed and that somebody opened again ends as failed where its credit
--                             was given back since; before, it was closed as completed: picture and credit, both given
--   fail                      a charge that the platform gave back before its account went is no matter for billing
--   unproven_charges          overages that may stand for another session of their request are listed
--   audit                     a store's charge whose account is gone is for billing, and no fault
--
-- Safe to apply again. The files before this one, applied again by themselves, bring the older answers back; apply this
-- one again after them.

drop function if exists wearon_worker.closed_again(text, uuid, wearon_worker.claims);

-- Internal: closes a session again that we completed and somebody opened; whether that was so. Not one whose credit was
-- given back since. The row is locked.
create or replace function wearon_worker.closed_again(
    p_channel text, p_session_id uuid, p_owner_id uuid, p_request_id text, p_claim wearon_worker.claims
) returns boolean language plpgsql set search_path = ''
as $$
begin
    if p_claim.outcome is distinct from 'completed'
        or wearon_worker.is_given_back(p_channel, p_session_id, p_owner_id, p_request_id)
    then
        return false;
    end if;
    if p_channel = 'b2c' then
        update public.generation_sessions set status = 'completed', error_message = null where id = p_session_id;
    else
        update public.store_generation_sessions set status = 'completed', error_message = null where id = p_session_id;
    end if;
    return true;
end;
$$;

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
    if not v_by_platform and not wearon_worker.has_account(p_channel, v_charge.kind, p_owner_id, v_charge.shopper_email) then
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
    v_is_ours := coalesce(v_claim.executor = p_executor and v_claim.fence = p_fence, false);
    if not v_is_ours and v_claim.executor is not null and wearon_worker.is_live(v_claim.executor) then
        return jsonb_build_object('outcome', 'owned', 'same_executor', v_claim.executor = p_executor);
    end if;

    v_attempt := v_claim.attempt + case when v_is_ours then 0 else 1 end;
    if wearon_worker.is_given_back(p_channel, p_session_id, v_session.owner_id, v_session.request_id) then
        v_outcome := 'refunded';
    elsif v_attempt > p_attempt_limit and v_claim.outcome is distinct from 'completed' then
        v_outcome := 'exhausted';
    else
        v_outcome := 'claimed';
        if p_heeds_job and p_channel = 'b2c' then
            v_wait := wearon_worker.seconds_until_past_the_job(
                v_session.created_at, wearon_worker.clock(), c_begin_lead);
        end if;
        if v_wait is not null then
            return jsonb_build_object('outcome', 'not_now', 'retry_after_seconds', v_wait);
        elsif wearon_worker.closed_again(
            p_channel, p_session_id, v_session.owner_id, v_session.request_id, v_claim)
        then
            return jsonb_build_object('outcome', 'settled', 'status', 'completed');
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
    if wearon_worker.closed_again(p_channel, p_session_id, v_session.owner_id, v_session.request_id, v_claim) then
        return jsonb_build_object('outcome', 'settled', 'status', 'completed');
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

-- For billing: failed sessions whose charge the ledger does not prove or whose account is gone (kind 'unproven_charge'),
-- those with an overage beside their deduction, and overages that may stand for another session too; oldest first.
-- "evidence" says which, and what the session's metadata said. Where "request_id" is null, "store_id" is a user's.
create or replace function public.wearon_worker_unproven_charges(p_since timestamptz)
returns table (
    store_id uuid, session_id uuid, request_id text, kind text, credits integer, evidence jsonb, refunded_at timestamptz
) language sql stable security definer set search_path = ''
as $$
    select r.owner_id, r.session_id, r.request_id, r.kind, r.credits, r.evidence, r.refunded_at
    from wearon_worker.refunds r
    where (r.kind = 'unproven_charge' or r.evidence ?| array['overage_beside_deduction', 'overage_of_another_session'])
        and r.refunded_at >= coalesce(p_since, '-infinity')
    order by r.refunded_at
$$;

-- As in the files before, but for a store's charge whose account is gone: it is on record for billing, and there is nobody
-- to whom it could be given back.
create or replace function public.wearon_worker_audit(p_since timestamptz)
returns table (
    rule text, channel text, owner_id uuid, shopper_email text, session_id uuid, proof text, fault text
) language sql stable security definer set search_path = ''
as $$
with asked as (
    -- Null must not mean that nothing is looked at, for no row means that all is well.
    select coalesce(p_since, '-infinity') as since
),
store_sessions as (
    select s.id, s.store_id, coalesce(s.request_id, s.id::text) as request_id, s.status::text as status, s.created_at,
           greatest(coalesce(s.credits_used, 1), 0) as credits,
           exists (select 1 from wearon_worker.refunds w
                   where w.channel = 'b2b' and w.session_id = s.id and w.evidence ? 'account_is_gone') as has_no_account
    from public.store_generation_sessions s
),
requests as (
    select t.store_id, t.request_id,
           coalesce(-sum(t.amount) filter (where t.type::text = 'deduction'), 0) as deducted,
           coalesce(sum(t.amount) filter (where t.type::text = 'refund'), 0) as given_back,
           count(*) filter (where t.type::text = 'overage') as overages,
           count(*) filter (where t.type::text = 'deduction') as deductions,
           max(wearon_worker.shopper_of(t.description)) filter (where t.type::text = 'deduction') as paid_by,
           max(wearon_worker.shopper_of(t.description)) filter (where t.type::text = 'refund') as given_to,
           -- The time of a ledger line is a column that may be missing.
           max((to_jsonb(t) ->> 'created_at')::timestamptz) as written_at
    from public.store_credit_transactions t
    where t.request_id is not null and t.type::text in ('deduction', 'refund', 'overage')
    group by t.store_id, t.request_id
),
sessions_by_request as (
    select s.store_id, s.request_id, min(s.created_at) as first_at,
           count(*) filter (where s.status = 'completed') as completed,
           count(*) filter (where wearon_worker.is_open(s.status)) as open,
           bool_or(s.has_no_account) as has_no_account
    from store_sessions s
    group by s.store_id, s.request_id
),
judged_store_sessions as (
    select s.*, coalesce(r.deducted, 0) as deducted, coalesce(r.given_back, 0) as given_back,
           coalesce(r.overages, 0) as overages, coalesce(r.deductions, 0) as deductions,
           coalesce(n.completed, 0) as completed_of_request, r.paid_by, r.given_to, w.kind, w.by_platform,
           coalesce(c.outcome = 'failed', false) as failed_by_worker
    from store_sessions s
    left join requests r on r.store_id = s.store_id and r.request_id = s.request_id
    left join sessions_by_request n on n.store_id = s.store_id and n.request_id = s.request_id
    left join wearon_worker.refunds w on w.channel = 'b2b' and w.session_id = s.id
    left join wearon_worker.claims c on c.channel = 'b2b' and c.session_id = s.id
    where s.created_at >= (table asked)
),
faults_of_store_sessions as (
    select f.rule, j.store_id as owner_id, j.paid_by as shopper_email, j.id as session_id, f.fault
    from judged_store_sessions j
    cross join lateral (values
        (j.status = 'completed' and j.given_back > 0,
         'completed_and_refunded', format('completed, and %s given back', j.given_back)),
        (j.status = 'completed' and j.kind in ('store_overage', 'unproven_charge') and not j.by_platform,
         'completed_and_refunded', format('completed, and on record for billing as %s', j.kind)),
        (j.status = 'failed' and j.deducted > 0 and j.given_back = 0 and j.completed_of_request = 0
            and not j.has_no_account,
         'lost', format('failed, %s deducted, nothing given back', j.deducted)),
        (j.deducted > 0 and j.given_back > 0 and j.given_back <> j.deducted,
         'wrong_amount', format('%s deducted, %s given back', j.deducted, j.given_back)),
        (j.deducted = 0 and j.given_back > 0,
         'wrong_amount', format('nothing deducted, %s given back (%s)', j.given_back,
                                case when j.overages > 0 then 'an overage' else 'no charge in the ledger' end)),
        (j.deducted > 0 and j.given_back > 0 and j.given_to is distinct from j.paid_by,
         'wrong_account', format('paid by %s, given back to %s',
                                 coalesce(j.paid_by, 'the store'), coalesce(j.given_to, 'the store'))),
        (j.kind in ('store_credit', 'shopper_credit') and j.given_back = 0,
         'lost', 'on record as given back, and no such line in the ledger'),
        (j.status = 'failed' and j.failed_by_worker and j.kind is null,
         'not_on_record', 'failed by the worker, and not on its record of refunds'),
        (j.status = 'failed' and j.failed_by_worker and j.deducted = 0 and j.overages > 0
            and j.kind <> 'store_overage',
         'not_on_record', format('an overage, on record as %s', j.kind)),
        (j.status = 'failed' and j.failed_by_worker and j.kind is not null and j.overages = 0
            and j.deductions = 0
            and j.kind <> case when j.credits = 0 then 'nothing_charged' else 'unproven_charge' end,
         'not_on_record', format('no charge in the ledger, on record as %s', j.kind))
    ) as f(is_broken, rule, fault)
    where f.is_broken
),
requests_with_sessions as (
    select r.*, s.first_at is not null as has_session, coalesce(s.completed, 0) as completed, coalesce(s.open, 0) as open
    from requests r
    left join sessions_by_request s on s.store_id = r.store_id and s.request_id = r.request_id
    where coalesce(s.first_at, r.written_at) >= (table asked) and not coalesce(s.has_no_account, false)
),
store_accounts as (
    select r.store_id, r.paid_by, sum(r.deducted) as deducted, sum(r.given_back) as given_back,
           coalesce(sum(r.deducted) filter (where r.completed > 0), 0) as completed,
           coalesce(sum(r.deducted) filter (where r.completed = 0 and r.open > 0 and r.given_back = 0), 0) as open,
           count(*) filter (where not r.has_session and r.deducted > r.given_back) as without_session
    from requests_with_sessions r
    group by r.store_id, r.paid_by
),
-- Every b2c session, each judged by the lines that name it.
users_lines as (
    select t.user_id, t.type::text as type, t.amount, t.description,
           (to_jsonb(t) ->> 'created_at')::timestamptz as written_at,
           case when t.type::text = 'refund' then substring(
               lower(t.description) from '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')::uuid
           end as names_session
    from public.credit_transactions t
    where t.type::text in ('generation', 'refund')
),
ledger_has_times as (
    select coalesce(bool_and(to_jsonb(t) ? 'created_at'), true) as is_so
    from (select x.* from public.credit_transactions x limit 1) t
),
user_sessions as (
    select s.id, s.user_id, s.status::text as status, greatest(coalesce(s.credits_used, 1), 0) as credits, s.created_at
    from public.generation_sessions s
),
lines_by_session as (
    select l.names_session as session_id, l.user_id, count(*) as lines, sum(l.amount) as amount,
           count(*) filter (where l.description = wearon_worker.refund_words('b2c', l.names_session)) as by_worker
    from users_lines l
    where l.names_session is not null
    group by l.names_session, l.user_id
),
judged_user_sessions as (
    select s.*, n.lines, n.amount, w.kind, coalesce(c.outcome = 'failed', false) as failed_by_worker,
           -- A refund by a worker of version 1 is on its record only; its line names nobody.
           coalesce(n.lines, 0) + case
               when w.kind = 'user_credit' and not w.by_platform and coalesce(n.by_worker, 0) = 0 then 1 else 0
           end as times_given_back
    from user_sessions s
    left join lines_by_session n on n.session_id = s.id and n.user_id = s.user_id
    left join wearon_worker.refunds w on w.channel = 'b2c' and w.session_id = s.id
    left join wearon_worker.claims c on c.channel = 'b2c' and c.session_id = s.id
),
faults_of_user_sessions as (
    select f.rule, j.user_id as owner_id, j.id as session_id, f.fault
    from judged_user_sessions j
    cross join lateral (values
        (j.status = 'completed' and j.times_given_back > 0,
         'completed_and_refunded', format('completed, and given back %s times', j.times_given_back)),
        (j.times_given_back > 1,
         'given_back_twice', format('given back %s times', j.times_given_back)),
        (j.times_given_back = 1 and j.lines = 1 and j.amount <> j.credits,
         'wrong_amount', format('charged %s, given back %s', j.credits, j.amount)),
        (j.status = 'failed' and j.failed_by_worker and j.kind is null,
         'not_on_record', 'failed by the worker, and not on its record of refunds')
    ) as f(is_broken, rule, fault)
    where f.is_broken and j.created_at >= (table asked)
),
sums_of_sessions as (
    select j.user_id,
           coalesce(sum(j.credits) filter (where j.status = 'completed'), 0) as completed,
           coalesce(sum(j.credits) filter (
               where wearon_worker.is_open(j.status) and j.times_given_back = 0), 0) as open,
           bool_or(j.created_at >= (table asked)) as is_recent
    from judged_user_sessions j
    where j.created_at >= (table asked) or not (select h.is_so from ledger_has_times h)
    group by j.user_id
),
sums_of_lines as (
    select l.user_id,
           coalesce(-sum(l.amount) filter (where l.type = 'generation'), 0) as deducted,
           coalesce(sum(l.amount) filter (where l.type = 'refund'), 0) as given_back
    from users_lines l
    left join user_sessions s on s.id = l.names_session
    -- Not what is given back now for a session from before.
    where l.written_at is null or (l.written_at >= (table asked) and coalesce(s.created_at >= (table asked), true))
    group by l.user_id
),
user_accounts as (
    select u.user_id, coalesce(l.deducted, 0) as deducted, coalesce(l.given_back, 0) as given_back,
           coalesce(s.completed, 0) as completed, coalesce(s.open, 0) as open
    from public.user_credits u
    left join sums_of_sessions s on s.user_id = u.user_id
    left join sums_of_lines l on l.user_id = u.user_id
    where coalesce(s.is_recent, (select h.is_so from ledger_has_times h))
),
accounts as (
    select 'b2b' as channel, a.store_id as owner_id, a.paid_by as shopper_email, 'request' as proof,
           a.deducted, a.given_back, a.completed, a.open,
           case when a.without_session > 0
               then format('; charged requests without a session: %s', a.without_session) else '' end as note
    from store_accounts a
    union all
    select 'b2c', a.user_id, null, 'account', a.deducted, a.given_back, a.completed, a.open, ''
    from user_accounts a
)
select f.rule, 'b2b', f.owner_id, f.shopper_email, f.session_id, 'request', f.fault from faults_of_store_sessions f
union all
select f.rule, 'b2c', f.owner_id, null, f.session_id, 'session', f.fault from faults_of_user_sessions f
union all
select case when a.deducted > a.given_back + a.completed + a.open then 'lost' else 'given_back_twice' end,
       a.channel, a.owner_id, a.shopper_email, null, a.proof,
       format('deducted %s, given back %s, for completed %s, open %s%s',
              a.deducted, a.given_back, a.completed, a.open, a.note)
from accounts a
where a.deducted <> a.given_back + a.completed + a.open
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
