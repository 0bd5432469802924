-- A minimal local copy of the platform's own database objects: what the worker reads, writes and calls.
-- Sandbox and tests only; on the live platform these objects exist already and nothing here is ever applied there.
--
-- Names, columns, checks, unique keys and behaviours are those of the platform's contract. Left out on purpose: row
-- level security, the platform's other tables, and foreign keys into auth.users (the sandbox invents its shoppers).
-- Safe to apply again. Runs on a bare Postgres as well as behind the Supabase API.

-- ---------------------------------------------------------------------------------------------------------------
-- Roles and publication: hosted Supabase has them from the start; a bare Postgres or the local API may not.
-- ---------------------------------------------------------------------------------------------------------------

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'anon') THEN
    CREATE ROLE anon NOLOGIN NOINHERIT;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'authenticated') THEN
    CREATE ROLE authenticated NOLOGIN NOINHERIT;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'service_role') THEN
    CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
  END IF;
  -- The empty publication must stand before any table is added to it.
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'supabase_realtime') THEN
    CREATE PUBLICATION supabase_realtime;
  END IF;
END
$$;

GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;

-- As hosted Supabase does: whatever is created in public from here on is open to every role unless its own migration
-- takes that back. A migration that forgets to must fail here as it would there.
-- https://supabase.com/docs/guides/api/using-custom-schemas
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;

-- ---------------------------------------------------------------------------------------------------------------
-- Sessions
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS public.generation_sessions (
  id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id             uuid NOT NULL,
  status              text NOT NULL DEFAULT 'queued'
                      CHECK (status IN ('pending', 'queued', 'processing', 'completed', 'failed')),
  prompt              text,
  generated_image_url text,
  error_message       text,
  processing_time_ms  integer,
  completed_at        timestamptz,
  input_tokens        integer,
  output_tokens       integer,
  estimated_cost_usd  numeric(10, 6),
  credits_used        integer NOT NULL DEFAULT 1,
  created_at          timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.stores (
  id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name                text,
  billing_mode        text NOT NULL DEFAULT 'absorb_mode' CHECK (billing_mode IN ('absorb_mode', 'resell_mode')),
  -- Only a subscribed store may go on at zero credits (overage); the platform keeps the tier, here a name is enough.
  subscription_tier   text,
  created_at          timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.store_generation_sessions (
  id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  store_id            uuid NOT NULL REFERENCES public.stores (id) ON DELETE CASCADE,
  request_id          text,
  -- Who shops, in every billing mode, whenever the shop's request says so. It does not say who paid.
  shopper_email       text,
  status              text NOT NULL DEFAULT 'queued'
                      CHECK (status IN ('queued', 'processing', 'completed', 'failed')),
  prompt              text,
  generated_image_url text,
  error_message       text,
  processing_time_ms  integer,
  completed_at        timestamptz,
  input_tokens        integer,
  output_tokens       integer,
  estimated_cost_usd  numeric(10, 6),
  credits_used        integer NOT NULL DEFAULT 1,
  created_at          timestamptz NOT NULL DEFAULT now()
);
-- Of an overage: overage_charge_id, overage_tier; written best-effort, so it may be missing or empty.
ALTER TABLE public.store_generation_sessions ADD COLUMN IF NOT EXISTS metadata jsonb;

DO $$
DECLARE
  v_table text;
BEGIN
  FOREACH v_table IN ARRAY ARRAY['generation_sessions', 'store_generation_sessions'] LOOP
    IF NOT EXISTS (
      SELECT FROM pg_catalog.pg_publication_tables
      WHERE pubname = 'supabase_realtime' AND schemaname = 'public' AND tablename = v_table
    ) THEN
      EXECUTE format('ALTER PUBLICATION supabase_realtime ADD TABLE public.%I', v_table);
    END IF;
  END LOOP;
END
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Balances and ledgers
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS public.user_credits (
  user_id         uuid PRIMARY KEY,
  balance         integer NOT NULL DEFAULT 0 CHECK (balance >= 0),
  total_earned    integer NOT NULL DEFAULT 0,
  total_spent     integer NOT NULL DEFAULT 0
);

-- No request and no session key: which session a line is about, only a description can say, and only some do.
CREATE TABLE IF NOT EXISTS public.credit_transactions (
  id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id         uuid NOT NULL,
  amount          integer NOT NULL,
  type            text NOT NULL CHECK (type IN ('signup_bonus', 'generation', 'refund')),
  description     text,
  created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS credit_transactions_user_id_idx ON public.credit_transactions (user_id);

CREATE TABLE IF NOT EXISTS public.store_credits (
  store_id        uuid PRIMARY KEY REFERENCES public.stores (id) ON DELETE CASCADE,
  balance         integer NOT NULL DEFAULT 0 CHECK (balance >= 0),
  total_purchased integer NOT NULL DEFAULT 0,
  total_spent     integer NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS public.store_credit_transactions (
  id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  store_id        uuid NOT NULL REFERENCES public.stores (id) ON DELETE CASCADE,
  amount          integer NOT NULL,
  type            text NOT NULL CHECK (type IN ('deduction', 'refund', 'purchase', 'subscription', 'overage')),
  request_id      text,
  description     text,
  created_at      timestamptz NOT NULL DEFAULT now(),
  -- Makes a second deduction or refund for one request raise. Rows without a request (purchases) do not collide.
  UNIQUE (store_id, request_id, type)
);

CREATE TABLE IF NOT EXISTS public.store_shopper_credits (
  store_id        uuid NOT NULL REFERENCES public.stores (id) ON DELETE CASCADE,
  shopper_email   text NOT NULL CHECK (shopper_email = lower(shopper_email)),
  balance         integer NOT NULL DEFAULT 0 CHECK (balance >= 0),
  total_purchased integer NOT NULL DEFAULT 0,
  total_spent     integer NOT NULL DEFAULT 0,
  PRIMARY KEY (store_id, shopper_email)
);

-- Stands in for the platform's row level security: browsers reach none of these tables here, the worker's key all.
DO $$
DECLARE
  v_table text;
BEGIN
  FOREACH v_table IN ARRAY ARRAY[
    'generation_sessions', 'store_generation_sessions', 'stores', 'user_credits', 'credit_transactions',
    'store_credits', 'store_credit_transactions', 'store_shopper_credits'
  ] LOOP
    EXECUTE format('REVOKE ALL ON public.%I FROM anon, authenticated', v_table);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO service_role', v_table);
  END LOOP;
END
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Credit functions. Each is one transaction: the balance and its ledger row move together or not at all.
-- Deductions answer false when the balance does not suffice and then change nothing. A store's ledger has no column for
-- the shopper: that it was the shopper's balance, and whose, is told by the ending of the description alone.
-- ---------------------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.deduct_credits(
  p_user_id uuid, p_amount integer, p_description text DEFAULT 'Generation'
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.user_credits
  SET balance = balance - p_amount, total_spent = total_spent + p_amount
  WHERE user_id = p_user_id AND balance >= p_amount;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO public.credit_transactions (user_id, amount, type, description)
  VALUES (p_user_id, -p_amount, 'generation', p_description);
  RETURN true;
END
$$;

-- NOT idempotent, like the platform's: every call gives the amount once more.
CREATE OR REPLACE FUNCTION public.refund_credits(
  p_user_id uuid, p_amount integer, p_description text DEFAULT 'Generation refund'
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.user_credits
  SET balance = balance + p_amount, total_spent = total_spent - p_amount
  WHERE user_id = p_user_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'user % has no credit account', p_user_id;
  END IF;
  INSERT INTO public.credit_transactions (user_id, amount, type, description)
  VALUES (p_user_id, p_amount, 'refund', p_description);
END
$$;

CREATE OR REPLACE FUNCTION public.deduct_store_credits(
  p_store_id uuid, p_amount integer, p_request_id text, p_description text DEFAULT 'Generation'
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.store_credits
  SET balance = balance - p_amount, total_spent = total_spent + p_amount
  WHERE store_id = p_store_id AND balance >= p_amount;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO public.store_credit_transactions (store_id, amount, type, request_id, description)
  VALUES (p_store_id, -p_amount, 'deduction', p_request_id, p_description);
  RETURN true;
END
$$;

-- The unique key raises on the second refund of a request, and the balance moves back with it.
CREATE OR REPLACE FUNCTION public.refund_store_credits(
  p_store_id uuid, p_amount integer, p_request_id text, p_description text DEFAULT 'Generation refund'
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.store_credits
  SET balance = balance + p_amount, total_spent = total_spent - p_amount
  WHERE store_id = p_store_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'store % has no credit account', p_store_id;
  END IF;
  INSERT INTO public.store_credit_transactions (store_id, amount, type, request_id, description)
  VALUES (p_store_id, p_amount, 'refund', p_request_id, p_description);
END
$$;

CREATE OR REPLACE FUNCTION public.deduct_store_shopper_credits(
  p_store_id uuid, p_shopper_email text, p_amount integer, p_request_id text, p_description text DEFAULT 'Generation'
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.store_shopper_credits
  SET balance = balance - p_amount, total_spent = total_spent + p_amount
  WHERE store_id = p_store_id AND shopper_email = p_shopper_email AND balance >= p_amount;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO public.store_credit_transactions (store_id, amount, type, request_id, description)
  VALUES (p_store_id, -p_amount, 'deduction', p_request_id, p_description || ' (shopper=' || p_shopper_email || ')');
  RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION public.refund_store_shopper_credits(
  p_store_id uuid, p_shopper_email text, p_amount integer, p_request_id text,
  p_description text DEFAULT 'Generation refund'
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.store_shopper_credits
  SET balance = balance + p_amount, total_spent = total_spent - p_amount
  WHERE store_id = p_store_id AND shopper_email = p_shopper_email;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'store % has no such shopper account', p_store_id;
  END IF;
  INSERT INTO public.store_credit_transactions (store_id, amount, type, request_id, description)
  VALUES (p_store_id, p_amount, 'refund', p_request_id, p_description || ' (shopper=' || p_shopper_email || ')');
END
$$;

-- A subscribed store at zero goes on; the charge is billed outside, no balance is touched. This line is a call of its own
-- after that charge; when it fails, the platform only logs it, and the session goes on without a line.
CREATE OR REPLACE FUNCTION public.log_store_overage(
  p_store_id uuid, p_request_id text, p_description text DEFAULT 'Overage'
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  INSERT INTO public.store_credit_transactions (store_id, amount, type, request_id, description)
  VALUES (p_store_id, -1, 'overage', p_request_id, p_description);
END
$$;

-- Functions are open to PUBLIC by default, and everything in schema public is served by the REST API.
DO $$
DECLARE
  v_function text;
BEGIN
  FOREACH v_function IN ARRAY ARRAY[
    'public.deduct_credits(uuid, integer, text)',
    'public.refund_credits(uuid, integer, text)',
    'public.deduct_store_credits(uuid, integer, text, text)',
    'public.refund_store_credits(uuid, integer, text, text)',
    'public.deduct_store_shopper_credits(uuid, text, integer, text, text)',
    'public.refund_store_shopper_credits(uuid, text, integer, text, text)',
    'public.log_store_overage(uuid, text, text)'
  ] LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, anon, authenticated', v_function);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO service_role', v_function);
  END LOOP;
END
$$;
