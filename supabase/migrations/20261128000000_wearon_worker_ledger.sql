-- Who paid and what was given back are read from the platform's ledger, and from nothing else. Schema version 2.
--
-- What is new, beside the older names:
--   wearon_worker_claim_v2, _complete_v2, _fail_v2   know two more outcomes: "refunded" and "not_now" (see there)
--   wearon_worker_audit(since)                       every session and account whose credits do not add up
--   wearon_worker_unproven_charges(since)            for billing: what the ledger does not prove
--   wearon_worker_forget(limit)                      deletes old claims and dead executors, a few at a time
--
-- The older names stay, with the arguments and answers that a worker of version 1 knows, and do the right thing with
-- credits: both kinds of worker run side by side during a deploy. Nothing here uses a function that the older file
-- defines in another way, so that file, applied again by itself, brings back only its own names and version 1, which
-- a worker of version 2 refuses at start; apply this one again after it.
--
-- Lock order everywhere: session row, claim row, the charge (lock_charge), a store's or shopper's balance.
-- Additive, and safe to apply again.

alter table wearon_worker.refunds add column if not exists evidence jsonb;
comment on column wearon_worker.refunds.evidence is
    'What the session''s metadata said of an outside charge, and whether an overage stands beside the deduction.';

alter table wearon_worker.refunds drop constraint if exists refunds_kind_check;
alter table wearon_worker.refunds add constraint refunds_kind_check check (kind in (
    'user_credit', 'store_credit', 'shopper_credit', 'store_overage', 'nothing_charged',
    -- The ledger knows neither deduction nor overage: charged outside and the line was lost, or not charged at all.
    -- No balance is touched; billing finds out.
    'unproven_charge'));

create index if not exists refunds_unproven_idx on wearon_worker.refunds (refunded_at)
    where kind = 'unproven_charge' or evidence is not null;

alter table wearon_worker.claims add column if not exists paid_request text;
comment on column wearon_worker.claims.paid_request is
    'Of a store''s session that we completed: its request, whose deduction is used up.';
create index if not exists claims_paid_request_idx on wearon_worker.claims (paid_request)
    where paid_request is not null;

-- For wearon_worker_forget: the oldest first.
create index if not exists claims_age_idx on wearon_worker.claims ((coalesce(settled_at, claimed_at, '-infinity')));

-- Internal: the time, for everything in this file. Tests put another in its place.
create or replace function wearon_worker.clock()
returns timestamptz language sql volatile set search_path = ''
as $$ select clock_timestamp() $$;

-- Internal: how many seconds until the platform's stuck-session job is surely past a b2c session of this age; null: it
-- cannot have the session on its list. The job reads its list once, at 00:00 UTC: everything open and older than ten
-- minutes. Then it refunds and fails one after the other, without looking at any row again.
--   p_lead  how long before 00:00 the caller holds back already
create or replace function wearon_worker.seconds_until_past_the_job(
    p_created_at timestamptz, p_now timestamptz, p_lead interval
) returns double precision language plpgsql immutable set search_path = ''
as $$
declare
    c_listed_age constant interval := '10 minutes';
    -- A scheduler with a resolution of one minute may start the job so late.
    c_late_start constant interval := '1 minute';
    -- And then it works: at half a second for its two calls, through 480 sessions.
    c_window     constant interval := '5 minutes';
    v_midnight   timestamptz := date_trunc('day', (p_now + p_lead) at time zone 'UTC') at time zone 'UTC';
begin
    if p_now < v_midnight + c_window and p_created_at < v_midnight + c_late_start - c_listed_age then
        return extract(epoch from v_midnight + c_window - p_now);
    end if;
    return null;
end;
$$;

-- Internal: the shopper whose balance a ledger line moved, from the ending ' (shopper=<address>)'; null: the store's.
create or replace function wearon_worker.shopper_of(p_description text)
returns text language sql immutable set search_path = ''
as $$ select lower(substring(p_description from '^.* \(shopper=(.+)\)$')) $$;

-- Internal: what the ledger calls a refund of ours to a user. It names the session, as the platform's job does, because
-- that ledger has no key.
create or replace function wearon_worker.refund_words(p_channel text, p_session_id uuid)
returns text language sql immutable set search_path = ''
as $$
    select 'Refund: the try-on could not be made'
        || case when p_channel = 'b2c' then format(' (session %s)', p_session_id) else '' end
$$;

-- Internal: reads and locks one session row of either table. No row: no such session.
-- The metadata of a store's session is a column that may be missing; then it is null.
create or replace function wearon_worker.lock_row(p_channel text, p_session_id uuid)
returns table (
    owner_id uuid, status text, credits_used integer, request_id text, created_at timestamptz, metadata jsonb
) language plpgsql set search_path = ''
as $$
begin
    if p_channel = 'b2c' then
        return query
            select s.user_id, s.status::text, s.credits_used, null::text, s.created_at, null::jsonb
            from public.generation_sessions s where s.id = p_session_id for update;
    elsif p_channel = 'b2b' then
        return query
            select s.store_id, s.status::text, s.credits_used, s.request_id, s.created_at, to_jsonb(s) -> 'metadata'
            from public.store_generation_sessions s where s.id = p_session_id for update;
    else
        raise exception 'unknown channel %', p_channel using errcode = 'invalid_parameter_value';
    end if;
end;
$$;

-- Internal: locks the session's claim row; all null when there is none.
create or replace function wearon_worker.find_claim(p_channel text, p_session_id uuid)
returns wearon_worker.claims language sql volatile set search_path = ''
as $$
    select c from wearon_worker.claims c where c.channel = p_channel and c.session_id = p_session_id for update
$$;

-- Internal: the same, and makes the row. Again while somebody deletes it (wearon_worker_forget).
create or replace function wearon_worker.hold_claim(p_channel text, p_session_id uuid)
returns wearon_worker.claims language plpgsql set search_path = ''
as $$
declare
    v_claim wearon_worker.claims;
begin
    loop
        insert into wearon_worker.claims (channel, session_id) values (p_channel, p_session_id)
        on conflict do nothing;
        v_claim := wearon_worker.find_claim(p_channel, p_session_id);
        if v_claim.session_id is not null then
            return v_claim;
        end if;
    end loop;
end;
$$;

-- Internal: holds up whoever else is about to undo or to use up the same charge, until we are done.
--   b2c  the user's balance, which refund_credits itself locks: a refund that is under way comes to its end
--   b2b  the deduction's line: a partner's second try may have made another session of the same request
create or replace function wearon_worker.lock_charge(p_channel text, p_owner_id uuid, p_request_id text)
returns void language plpgsql set search_path = ''
as $$
begin
    if p_channel = 'b2c' then
        perform 1 from public.user_credits u where u.user_id = p_owner_id for no key update;
    else
        perform 1 from public.store_credit_transactions t
        where t.store_id = p_owner_id and t.request_id = p_request_id and t.type::text = 'deduction'
        for no key update;
    end if;
end;
$$;

-- Internal: whether the charge was undone already, by us or by the platform, as far as the ledger can tell: by request
-- for b2b, by a refund that names the session for b2c. Volatile, so that it sees what was committed while we waited
-- for a lock.
create or replace function wearon_worker.is_given_back(
    p_channel text, p_session_id uuid, p_owner_id uuid, p_request_id text
) returns boolean language plpgsql volatile set search_path = ''
as $$
begin
    if exists (
        select 1 from wearon_worker.refunds r where r.channel = p_channel and r.session_id = p_session_id
    ) then
        return true;
    elsif p_channel = 'b2c' then
        return exists (
            select 1 from public.credit_transactions t
            where t.user_id = p_owner_id and t.type::text = 'refund'
              and strpos(lower(t.description), p_session_id::text) > 0);
    end if;
    return exists (
        select 1 from public.store_credit_transactions t
        where t.store_id = p_owner_id and t.request_id = p_request_id and t.type::text = 'refund');
end;
$$;

-- Internal: which charge is to be undone. For b2b the ledger of the request decides, never the session row or the
-- store's mode of today: both say who shops, not who paid.
--   a deduction that ends in ' (shopper=<address>)'   that shopper's balance, by the amount deducted
--   a deduction without                               the store's balance, by the amount deducted
--   an overage                                        no balance; on record, so that billing reverses the charge
--   neither                                           no balance; on record as unproven, with what metadata says
-- Both a deduction and an overage: the deduction is undone, and the overage is shown to billing beside it. A deduction
-- that paid for another session of the same request, which is completed, is not there for this one.
create or replace function wearon_worker.charge_of(
    p_channel text, p_owner_id uuid, p_request_id text, p_credits_used integer, p_metadata jsonb
) returns table (kind text, credits integer, shopper_email text, evidence jsonb)
language plpgsql volatile set search_path = ''
as $$
declare
    -- The platform's default for the column is one credit.
    v_credits    integer := greatest(coalesce(p_credits_used, 1), 0);
    v_deduction  record;
    v_is_spent   boolean;
    v_is_overage boolean;
    v_outside    jsonb;
begin
    if p_channel = 'b2c' then
        return query select case when v_credits = 0 then 'nothing_charged' else 'user_credit' end,
                            v_credits, null::text, null::jsonb;
        return;
    end if;

    select -t.amount as credits, wearon_worker.shopper_of(t.description) as shopper into v_deduction
    from public.store_credit_transactions t
    where t.store_id = p_owner_id and t.request_id = p_request_id and t.type::text = 'deduction';
    v_is_spent := v_deduction.credits > 0 and exists (
        select 1 from wearon_worker.claims c
        join public.store_generation_sessions s on s.id = c.session_id
        where c.channel = 'b2b' and c.paid_request = p_request_id
          and s.store_id = p_owner_id and s.status::text = 'completed');
    v_is_overage := exists (
        select 1 from public.store_credit_transactions t
        where t.store_id = p_owner_id and t.request_id = p_request_id and t.type::text = 'overage');
    if jsonb_typeof(p_metadata) = 'object' then
        v_outside := nullif(
            jsonb_strip_nulls(jsonb_build_object(
                'overage_charge_id', p_metadata -> 'overage_charge_id', 'overage_tier', p_metadata -> 'overage_tier')),
            '{}');
    end if;

    if v_is_spent then
        v_outside := jsonb_build_object('deduction_paid_for_another_session', true) || coalesce(v_outside, '{}');
    end if;

    if v_deduction.credits > 0 and not v_is_spent then
        return query select case when v_deduction.shopper is null then 'store_credit' else 'shopper_credit' end,
                            v_deduction.credits, v_deduction.shopper,
                            case when v_is_overage then
                                jsonb_build_object('overage_beside_deduction', true) || coalesce(v_outside, '{}') end;
    elsif v_is_overage then
        return query select 'store_overage', v_credits, null::text, v_outside;
    elsif v_deduction.credits <= 0 or v_credits = 0 then
        return query select 'nothing_charged', 0, null::text, null::jsonb;
    else
        return query select 'unproven_charge', v_credits, null::text, v_outside;
    end if;
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

-- Internal: how long before 00:00 nothing is settled any more that the job may be about to list. The job's clock is
-- another computer's, and what we decide now is committed a moment later.
create or replace function wearon_worker.settle_lead()
returns interval language sql immutable set search_path = ''
as $$ select interval '10 seconds' $$;

-- Internal: wearon_worker_complete_v2; p_heeds_job as for try_claim.
create or replace function wearon_worker.try_complete(
    p_channel text, p_session_id uuid, p_fence uuid, p_generated_image_url text, p_processing_time_ms integer,
    p_input_tokens integer, p_output_tokens integer, p_estimated_cost_usd numeric, p_heeds_job boolean
) returns jsonb language plpgsql set search_path = ''
as $$
declare
    v_session record;
    v_claim   wearon_worker.claims;
    v_wait    double precision;
begin
    select * into v_session from wearon_worker.lock_row(p_channel, p_session_id);
    if not found then
        return jsonb_build_object('outcome', 'missing');
    end if;
    v_claim := wearon_worker.find_claim(p_channel, p_session_id);

    if v_claim.fence = p_fence and v_claim.outcome = 'completed' and v_session.status = 'completed' then
        return jsonb_build_object('outcome', 'completed');
    elsif not wearon_worker.is_open(v_session.status) then
        return jsonb_build_object('outcome', 'settled', 'status', v_session.status);
    elsif v_claim.fence is distinct from p_fence then
        return jsonb_build_object('outcome', 'lost');
    end if;

    perform wearon_worker.lock_charge(p_channel, v_session.owner_id, v_session.request_id);
    if wearon_worker.is_given_back(p_channel, p_session_id, v_session.owner_id, v_session.request_id) then
        -- Nobody's any more: the row is left for the platform's second step, or for recovery.
        update wearon_worker.claims c set executor = null
        where c.channel = p_channel and c.session_id = p_session_id;
        return jsonb_build_object('outcome', 'refunded');
    elsif v_claim.executor is null then
        return jsonb_build_object('outcome', 'lost');
    elsif p_heeds_job and p_channel = 'b2c' then
        v_wait := wearon_worker.seconds_until_past_the_job(
            v_session.created_at, wearon_worker.clock(), wearon_worker.settle_lead());
        if v_wait is not null then
            return jsonb_build_object('outcome', 'not_now', 'retry_after_seconds', v_wait);
        end if;
    end if;

    -- error_message is emptied: a message written for a retry must not stay on a completed row.
    if p_channel = 'b2c' then
        update public.generation_sessions set
            status = 'completed', generated_image_url = p_generated_image_url, error_message = null,
            processing_time_ms = p_processing_time_ms, completed_at = wearon_worker.clock(),
            input_tokens = p_input_tokens, output_tokens = p_output_tokens, estimated_cost_usd = p_estimated_cost_usd
        where id = p_session_id;
    else
        update public.store_generation_sessions set
            status = 'completed', generated_image_url = p_generated_image_url, error_message = null,
            processing_time_ms = p_processing_time_ms, completed_at = wearon_worker.clock(),
            input_tokens = p_input_tokens, output_tokens = p_output_tokens, estimated_cost_usd = p_estimated_cost_usd
        where id = p_session_id;
    end if;
    update wearon_worker.claims c
    set executor = null, outcome = 'completed', settled_at = wearon_worker.clock(), paid_request = v_session.request_id
    where c.channel = p_channel and c.session_id = p_session_id;
    return jsonb_build_object('outcome', 'completed');
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

-- Takes a session to run it. "outcome" of the answer:
--   claimed       ours: run it ("owner_id", "attempt", "rate_limited")
--   exhausted     ours, but it has had its attempts: fail it (the same fields)
--   refunded      ours, but the charge was given back already: fail it, which only marks it (the same fields)
--   owned         another run holds it ("same_executor": by this very executor)
--   settled       completed or failed already ("status")
--   missing       no such session
--   executor_dead the caller was declared dead and may take nothing
--   not_now       b2c, around 00:00 UTC: the platform's job lists it or has listed it; ask again, at the latest after
--                 "retry_after_seconds". Nothing changes: a claim that this fence held already is still held.
-- A repeated call with the same fence gets the same answer: a lost reply costs nothing.
create or replace function public.wearon_worker_claim_v2(
    p_channel text, p_session_id uuid, p_executor uuid, p_fence uuid, p_attempt_limit integer
) returns jsonb language sql volatile security definer set search_path = ''
as $$ select wearon_worker.try_claim(p_channel, p_session_id, p_executor, p_fence, p_attempt_limit, true) $$;

-- Marks a session completed. "outcome": completed | lost | settled | missing
--   | refunded  the charge was given back, so it is not ours any more and nothing is delivered
--   | not_now   b2c, around 00:00 UTC: keep the picture and ask again, at the latest after "retry_after_seconds"
-- Safe to repeat.
create or replace function public.wearon_worker_complete_v2(
    p_channel text, p_session_id uuid, p_fence uuid, p_generated_image_url text, p_processing_time_ms integer,
    p_input_tokens integer, p_output_tokens integer, p_estimated_cost_usd numeric
) returns jsonb language sql volatile security definer set search_path = ''
as $$
    select wearon_worker.try_complete(
        p_channel, p_session_id, p_fence, p_generated_image_url, p_processing_time_ms, p_input_tokens, p_output_tokens,
        p_estimated_cost_usd, true)
$$;

-- Marks a session failed and gives back what the ledger says was charged, in one transaction; what the platform gave
-- back already is not given again.
-- p_fence null: said by nobody who runs it (recovery, a bad queue element); then only if no live executor holds it.
-- "outcome": failed ("refund": {"kind", "credits"}; "request_id", which b2c rows do not have)
--   | lost | owned | settled | missing | not_now (as for wearon_worker_complete_v2). Safe to repeat.
create or replace function public.wearon_worker_fail_v2(
    p_channel text, p_session_id uuid, p_fence uuid, p_error_message text, p_reason text
) returns jsonb language sql volatile security definer set search_path = ''
as $$ select wearon_worker.try_fail(p_channel, p_session_id, p_fence, p_error_message, p_reason, true) $$;

-- For workers of version 1, which know neither "refunded" nor "not_now".
create or replace function public.wearon_worker_claim(
    p_channel text, p_session_id uuid, p_executor uuid, p_fence uuid, p_attempt_limit integer
) returns jsonb language sql volatile security definer set search_path = ''
as $$
    select case when a.answer ->> 'outcome' = 'refunded' then a.answer || '{"outcome": "exhausted"}' else a.answer end
    from wearon_worker.try_claim(p_channel, p_session_id, p_executor, p_fence, p_attempt_limit, false) as a(answer)
$$;

-- For workers of version 1: a session whose charge was given back is "lost".
create or replace function public.wearon_worker_complete(
    p_channel text, p_session_id uuid, p_fence uuid, p_generated_image_url text, p_processing_time_ms integer,
    p_input_tokens integer, p_output_tokens integer, p_estimated_cost_usd numeric
) returns jsonb language sql volatile security definer set search_path = ''
as $$
    select case when a.answer ->> 'outcome' = 'refunded' then '{"outcome": "lost"}' else a.answer end
    from wearon_worker.try_complete(
        p_channel, p_session_id, p_fence, p_generated_image_url, p_processing_time_ms, p_input_tokens, p_output_tokens,
        p_estimated_cost_usd, false) as a(answer)
$$;

-- For workers of version 1.
create or replace function public.wearon_worker_fail(
    p_channel text, p_session_id uuid, p_fence uuid, p_error_message text, p_reason text
) returns jsonb language sql volatile security definer set search_path = ''
as $$ select wearon_worker.try_fail(p_channel, p_session_id, p_fence, p_error_message, p_reason, false) $$;

-- The version of everything up to this file, asked at start-up.
create or replace function public.wearon_worker_schema_version()
returns integer language sql immutable set search_path = ''
as $$ select 2 $$;

-- For billing: failed sessions of stores whose charge the ledger does not prove (kind 'unproven_charge'), and those with
-- an overage beside their deduction; oldest first. "evidence" is what the session's metadata said.
create or replace function public.wearon_worker_unproven_charges(p_since timestamptz)
returns table (
    store_id uuid, session_id uuid, request_id text, kind text, credits integer, evidence jsonb, refunded_at timestamptz
) language sql stable security definer set search_path = ''
as $$
    select r.owner_id, r.session_id, r.request_id, r.kind, r.credits, r.evidence, r.refunded_at
    from wearon_worker.refunds r
    where (r.kind = 'unproven_charge' or r.evidence ? 'overage_beside_deduction')
        and r.refunded_at >= coalesce(p_since, '-infinity')
    order by r.refunded_at
$$;

-- Deletes what nobody needs any more, at most p_limit rows of each kind: claims of sessions that are settled or gone,
-- older than 30 days, and executors dead for 7. Refunds stay for ever, and so does every claim of an open session.
-- Answer: {"claims": n, "executors": n}
create or replace function public.wearon_worker_forget(p_limit integer)
returns jsonb language plpgsql security definer set search_path = ''
as $$
declare
    v_old_claims    constant timestamptz := wearon_worker.clock() - interval '30 days';
    v_old_executors constant timestamptz := wearon_worker.clock() - interval '7 days';
    v_claims        integer;
    v_executors     integer;
begin
    delete from wearon_worker.claims c using (
        select x.channel, x.session_id from wearon_worker.claims x
        where coalesce(x.settled_at, x.claimed_at, '-infinity') < v_old_claims
          and not exists (
              select 1 from public.generation_sessions s
              where x.channel = 'b2c' and s.id = x.session_id
                and (wearon_worker.is_open(s.status::text)
                     or (coalesce(x.settled_at, x.claimed_at) is null and s.created_at >= v_old_claims)))
          and not exists (
              select 1 from public.store_generation_sessions s
              where x.channel = 'b2b' and s.id = x.session_id
                and (wearon_worker.is_open(s.status::text)
                     or (coalesce(x.settled_at, x.claimed_at) is null and s.created_at >= v_old_claims)))
        order by coalesce(x.settled_at, x.claimed_at, '-infinity')
        limit p_limit
        for update skip locked
    ) old
    where c.channel = old.channel and c.session_id = old.session_id;
    get diagnostics v_claims = row_count;

    delete from wearon_worker.executors e using (
        select x.executor from wearon_worker.executors x
        where x.dead_at < v_old_executors
          and not exists (select 1 from wearon_worker.claims c where c.executor = x.executor)
        order by x.dead_at
        limit p_limit
        for update skip locked
    ) old
    where e.executor = old.executor;
    get diagnostics v_executors = row_count;
    return jsonb_build_object('claims', v_claims, 'executors', v_executors);
end;
$$;

-- NFR-2.4: deducted = completed + given back, for every session and every account. Answers one row for each that breaks
-- it, with the fault in words and numbers; no row: the books are right. Reads only the platform's own columns, so it
-- serves on the live platform as well as in tests. Sessions created before p_since are not judged: their history may
-- be older than the worker.
--   rule   lost                  charged, and neither completed nor given back
--          given_back_twice      more was given back than was charged
--          completed_and_refunded
--          wrong_amount          given back in part, or too much
--          wrong_account         given back to somebody else
--          not_on_record         billing does not learn of it
--   proof  what the row rests on:
--          request               the ledger's lines of this request (b2b)
--          session               lines that name the session: the job's and, from version 2 on, the worker's (b2c), or
--                                the worker's own record of refunds
--          account               only the sums of the account tell: that ledger names neither request nor session
--                                ('Queue error - refund', deductions). Which session it is, the sums cannot say.
-- A charge that is just being made shows as "lost" on its account until its session is inserted; ask again. The same is
-- true of a session charged at the very moment of p_since: choose a quiet one. An overage that the platform itself gave
-- back has no line anywhere, so a failed one is judged only where the worker failed it.
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
           greatest(coalesce(s.credits_used, 1), 0) as credits
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
           count(*) filter (where wearon_worker.is_open(s.status)) as open
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
        (j.status = 'failed' and j.deducted > 0 and j.given_back = 0 and j.completed_of_request = 0,
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
    where coalesce(s.first_at, r.written_at) >= (table asked)
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
