-- The hash-chained audit log, the triggers that write it, owners of what decides, and rights that 0001 left too wide.

revoke create on schema public from public;         -- functions below run with the owner's rights: nobody else names theirs

-- ------------------------------------------------------------------------------------------------- owners
create table dimensions (                           -- what usage is kept apart by; a row for each that a metric uses
  name    text primary key check (length(name) between 1 and 64),
  owner   text not null default 'operations' check (length(owner) between 1 and 255),
  meaning text not null default '' check (length(meaning) <= 1000)
);
update sources set owner = left(coalesce(nullif(owner, ''), 'operations'), 255) where length(owner) not between 1 and 255;
update meters set owner = left(coalesce(nullif(owner, ''), 'operations'), 255) where length(owner) not between 1 and 255;
alter table sources add check (length(owner) between 1 and 255);
alter table meters add check (length(owner) between 1 and 255);
alter table meter_versions add owner text not null default 'operations' check (length(owner) between 1 and 255);
alter table metrics add owner text not null default 'operations' check (length(owner) between 1 and 255);
alter table contract_versions                       -- who answers for the prices of the version
  add owner text not null default 'operations' check (length(owner) between 1 and 255);
alter table mappings add owner text not null default 'operations' check (length(owner) between 1 and 255);
update meter_versions v set owner = m.owner from meters m where m.id = v.meter_id;
update metrics k set owner = m.owner from meters m where m.id = k.meter_id;
update mappings g set owner = s.owner from sources s where s.id = g.source_id;
update contract_versions v set owner = left(coalesce(nullif(e.name, ''), 'operations'), 255)
  from contracts c join legal_entities e on e.id = c.legal_entity_id where c.id = v.contract_id;
insert into dimensions (name, owner)
  select distinct on (d) d, owner from metrics, unnest(dimensions) d order by d, id on conflict do nothing;

create function metric_dimensions_have_owners() returns trigger language plpgsql as $$
begin
  insert into dimensions (name, owner) select distinct d, new.owner from unnest(new.dimensions) d order by 1
    on conflict (name) do nothing;
  return null;
end $$;
create trigger metric_dimensions after insert or update of dimensions on metrics
  for each row when (cardinality(new.dimensions) > 0) execute function metric_dimensions_have_owners();

-- ------------------------------------------------------------------------------------------------- the log
create table audit_log (                            -- append-only; each row's hash covers the row and the hash before it
  no          bigint primary key check (no > 0),
  prev_hash   bytea not null check (length(prev_hash) = 32),
  hash        bytea not null check (length(hash) = 32),
  recorded_at timestamptz not null,
  person      text not null check (length(person) between 1 and 200),
  token_id    bigint,
  approval_id bigint,
  reason      text not null check (length(reason) <= 2000),
  action      text not null check (length(action) between 1 and 100),
  subject     text not null check (length(subject) between 1 and 300),
  before      jsonb,
  after       jsonb
);
create index audit_log_person on audit_log (person, no);
create index audit_log_action on audit_log (action collate "C", no);
create index audit_log_subject on audit_log (subject, no);
create index audit_log_recorded on audit_log using brin (recorded_at);
create table audit_head (                           -- the last row again, so that a tail that was cut off shows
  is_only boolean primary key default true check (is_only),
  no      bigint not null,
  hash    bytea not null check (length(hash) = 32)
);

create function audit_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only: % is refused', tg_table_name, lower(tg_op)
    using errcode = 'insufficient_privilege', hint = 'A change that was wrong is undone by another change.';
end $$;
create trigger audit_log_append_only before update or delete or truncate on audit_log
  for each statement execute function audit_is_append_only();
create trigger audit_head_stays before delete or truncate on audit_head
  for each statement execute function audit_is_append_only();

-- A text with its length in bytes of UTF-8 before it, so that no two rows read the same; null is a dash.
create function audit_part(part text) returns text language sql immutable as
  $$ select coalesce(octet_length(convert_to(part, 'UTF8'))::text || ':' || part, '-') $$;

-- Whether the session acts as the application, also inside a function that runs with its owner's rights.
create function audit_is_application() returns boolean language sql stable as
  $$ select case current_setting('role') when 'none' then session_user::text else current_setting('role') end
       = 'tallyline_app' $$;

-- Writers wait here for one another until they commit. Whoever also needs locks of rows or the fence is here first.
create function audit_hold() returns void language sql as $$ select pg_advisory_xact_lock(7201, 2) $$;

-- Each hash covers the one before it; the first takes up where the log ended.
create function audit_chain_on(before_this bytea, log_end bytea, said text) returns bytea language plpgsql immutable as $$
begin
  return sha256(coalesce(before_this, log_end) || convert_to(said, 'UTF8'));
end $$;
create aggregate audit_chain(bytea, text) (sfunc = audit_chain_on, stype = bytea);

-- Append one row for each subject under whoever is named in this transaction; the number of the last one.
create function audit_append(action text, subjects text[], befores jsonb[], afters jsonb[]) returns bigint
language plpgsql as $$
declare
  log_no   bigint;
  log_end  bytea;
  at       timestamptz;
  person   text := coalesce(current_setting('tallyline.person', true), '');
  reason   text := coalesce(current_setting('tallyline.reason', true), '');
  approval bigint := nullif(current_setting('tallyline.approval', true), '')::bigint;
  token    bigint := nullif(current_setting('tallyline.token', true), '')::bigint;
  who      text;
begin
  if person = '' and audit_is_application() then
    raise exception 'nobody is named for this change' using errcode = 'insufficient_privilege',
      hint = 'Name the person who acts and the reason in this transaction first.';
  elsif person = '' then
    person := 'database:' || session_user;
    reason := 'by hand';
  elsif starts_with(person, 'database:') then
    raise exception 'no person is called %', person using errcode = 'insufficient_privilege';
  end if;
  perform audit_hold();
  select h.no, h.hash into log_no, log_end from audit_head h;
  if not found then
    log_no := 0;
    log_end := decode(repeat('00', 32), 'hex');
  end if;
  at := clock_timestamp();
  who := audit_part(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) || audit_part(person)
    || audit_part(token::text) || audit_part(approval::text) || audit_part(reason) || audit_part(action);
  insert into audit_log
  select c.no, lag(c.hash, 1, log_end) over (order by c.no), c.hash, at, person, token, approval, reason, action,
    c.subject, c.before, c.after
  from (
    select n.*, audit_chain(log_end, audit_part(n.no::text) || who || audit_part(n.subject)
      || audit_part(n.before::text) || audit_part(n.after::text)) over (order by n.no) as hash
    from (select log_no + u.place as no, u.subject, u.before, u.after
      from unnest(subjects, befores, afters) with ordinality u (subject, before, after, place)) n) c;
  log_no := log_no + cardinality(subjects);
  insert into audit_head (no, hash) select l.no, l.hash from audit_log l where l.no = log_no
    on conflict (is_only) do update set no = excluded.no, hash = excluded.hash;
  return log_no;
end $$;

-- Record what was done, under whoever `tallyline.person` names in this transaction; its number.
create function audit_record(action text, subject text, before jsonb, after jsonb) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if octet_length(before::text) > 1048576 or octet_length(after::text) > 1048576 then
    raise exception 'what is kept of a change has at most 1048576 bytes' using errcode = 'check_violation';
  end if;
  return audit_append(action, array[subject], array[before], array[after]);
end $$;

-- ------------------------------------------------------------------------------------------------- the triggers
create function audit_queue() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform audit_hold();                             -- before the statement locks a row that the holder may want
  return null;
end $$;

-- One row of the log for each row that a statement changed. Arguments: the key's columns, and two expressions over the
-- row `r`: how it is named, and what of it is kept.
create function audit_rows() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp set timezone = 'UTC' as $$
declare
  keys     text[] := string_to_array(tg_argv[0], ',');
  images   text := format('select array(select (%2$s)->>k from unnest($1) k) as key,
    coalesce(nullif(left(%1$s, 300), ''''), ''unnamed'') as subject, %2$s as image', tg_argv[1], tg_argv[2]);
  changes  text;
  subjects text[];
  befores  jsonb[];
  afters   jsonb[];
begin
  if tg_op = 'INSERT' then
    changes := format('select subject, null::jsonb as before, image as after from (%s from new_rows r) n', images);
  elsif tg_op = 'DELETE' then
    changes := format('select subject, image as before, null::jsonb as after from (%s from old_rows r) o', images);
  else
    changes := format('select coalesce(n.subject, o.subject) as subject, d.* from (%s from old_rows r) o
      full join (%s from new_rows r) n using (key), lateral audit_difference(o.image, n.image, $1) d
      where o.image is distinct from n.image', images, images);
  end if;
  execute format('select array_agg(subject), array_agg(before), array_agg(after) from (%s) c', changes)
    into subjects, befores, afters using keys;
  if subjects is not null then
    perform audit_append(tg_table_name || '.' || lower(tg_op), subjects, befores, afters);
  end if;
  return null;
end $$;

-- The members that differ, and those that name the row.
create function audit_difference(old_image jsonb, new_image jsonb, keys text[], out before jsonb, out after jsonb)
language sql immutable as $$
  select coalesce(jsonb_object_agg(k, old_image -> k) filter (where old_image ? k), old_image),
         coalesce(jsonb_object_agg(k, new_image -> k) filter (where new_image ? k), new_image)
  from jsonb_object_keys(coalesce(old_image, '{}') || coalesce(new_image, '{}')) k
  where k = any(keys) or old_image -> k is distinct from new_image -> k
$$;

create function audit_truncation() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform audit_record(tg_table_name || '.truncate', 'every row', null, null);
  return null;
end $$;

do $$
declare
  governed record;
begin
  for governed in select * from (values
    ('erp_connections', 'id', 'r.id', 'to_jsonb(r)'),
    ('legal_entities', 'id', 'r.id', 'to_jsonb(r)'),
    ('accounts', 'id', 'r.id', 'to_jsonb(r)'),
    ('billing_cycles', 'id', $q$r.legal_entity_id || '/' || r.name$q$, 'to_jsonb(r)'),
    ('contracts', 'id', 'r.ref', 'to_jsonb(r)'),
    ('contract_versions', 'id', $q$(select c.ref from contracts c where c.id = r.contract_id) || '/' || r.version$q$,
     'to_jsonb(r)'),
    ('subscriptions', 'id', 'r.ref', 'to_jsonb(r)'),
    ('sources', 'id', 'r.name', 'to_jsonb(r)'),
    ('source_users', 'source_id,user_name',
     $q$coalesce((select s.name from sources s where s.id = r.source_id), '') || ' ' || r.user_name$q$, 'to_jsonb(r)'),
    ('meters', 'id', 'r.name', 'to_jsonb(r)'),
    ('meter_versions', 'id', $q$(select m.name from meters m where m.id = r.meter_id) || '/' || r.version$q$,
     'to_jsonb(r)'),
    ('metrics', 'id', 'r.name', 'to_jsonb(r)'),
    ('dimensions', 'name', 'r.name', 'to_jsonb(r)'),
    ('exclusion_rules', 'id', 'r.name', 'to_jsonb(r)'),
    ('mappings', 'id', $q$(select s.name from sources s where s.id = r.source_id) || ' ' || r.subject$q$,
     'to_jsonb(r)'),
    ('prices', 'id', $q$(select c.ref || '/' || v.version from contract_versions v
       join contracts c on c.id = v.contract_id where v.id = r.contract_version_id)
       || '/' || (select m.name from metrics m where m.id = r.metric_id)$q$, 'to_jsonb(r)'),
    ('tax_rates', 'id', $q$r.jurisdiction || '/' || r.category || '/' || r.starts_on$q$, 'to_jsonb(r)'),
    ('billing_overrides', 'billing_run_id,code,exceptions', $q$'run ' || r.billing_run_id || '/' || r.code$q$,
     'to_jsonb(r)'),
    ('people', 'id', 'r.id', 'to_jsonb(r)'),
    ('person_roles', 'id', $q$r.person_id || '/' || r.role$q$, 'to_jsonb(r)'),
    ('api_tokens', 'id', $q$r.person_id || '/' || r.id$q$, $q$(to_jsonb(r) - 'hash' - 'used_at')$q$),
    ('approval_policies', 'id', $q$r.action || '/' || r.role || coalesce('/' || r.currency, '')$q$, 'to_jsonb(r)'),
    -- What was asked for may be long: its digests say that it is still what was approved.
    ('approval_requests', 'id', $q$'request ' || r.id$q$, $q$(to_jsonb(r) - 'payload' - 'attachment'
       || jsonb_build_object('payload_sha256', encode(sha256(convert_to(r.payload::text, 'UTF8')), 'hex'),
         'attachment_sha256', encode(sha256(r.attachment), 'hex')))$q$),
    ('approval_decisions', 'request_id', $q$'request ' || r.request_id$q$, 'to_jsonb(r)')
  ) as t (name, keys, subject, image)
  loop
    -- That a token was used changes nothing that anybody decided, and must wait for nobody.
    execute format('create trigger audit_queue before insert or delete or %s on %I for each statement
      execute function audit_queue()', case governed.name when 'api_tokens'
      then 'update of person_id, hash, scopes, label, created_at, created_by, expires_at, revoked_at, revoked_by'
      else 'update' end, governed.name);
    execute format('create trigger audit_insert after insert on %I referencing new table as new_rows
      for each statement execute function audit_rows(%L, %L, %L)', governed.name, governed.keys, governed.subject,
      governed.image);
    execute format('create trigger audit_update after update on %I referencing old table as old_rows
      new table as new_rows for each statement execute function audit_rows(%L, %L, %L)', governed.name, governed.keys,
      governed.subject, governed.image);
    execute format('create trigger audit_delete after delete on %I referencing old table as old_rows
      for each statement execute function audit_rows(%L, %L, %L)', governed.name, governed.keys, governed.subject,
      governed.image);
    execute format('create trigger audit_truncate before truncate on %I for each statement
      execute function audit_truncation()', governed.name);
  end loop;
end $$;

-- Of a billing run only its approval is a person's; the steps change the rest.
create function audit_approval() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp set timezone = 'UTC' as $$
declare
  named text := (select format('run %s of %s/%s %s', new.id, c.legal_entity_id, c.name, p.starts_on)
    from billing_periods p join billing_cycles c on c.id = p.cycle_id where p.id = new.billing_period_id);
  was   jsonb;
begin
  if tg_op = 'UPDATE' then
    was := jsonb_build_object('approved_by', old.approved_by, 'approved_at', old.approved_at);
  end if;
  perform audit_record('billing_runs.' || lower(tg_op), left(named, 300), was,
    jsonb_build_object('approved_by', new.approved_by, 'approved_at', new.approved_at));
  return null;
end $$;
create trigger audit_insert after insert on billing_runs for each row
  when (new.approved_by is not null) execute function audit_approval();
create trigger audit_update after update of approved_by, approved_at on billing_runs for each row
  when (old.approved_by is distinct from new.approved_by or old.approved_at is distinct from new.approved_at)
  execute function audit_approval();

-- ------------------------------------------------------------------------------------------------- documents
-- A document that has a number is what was sent and booked: it may become posted, or void before that, and nothing else.
create function invoice_stays() returns trigger language plpgsql as $$
declare
  steps text[] := array['state', 'pending'];        -- what may change of it
begin
  if old.state <> new.state and (old.state, new.state) not in (values
      ('draft', 'taxed'), ('draft', 'empty'), ('draft', 'void'), ('taxed', 'approved'), ('taxed', 'issued'),
      ('taxed', 'draft'), ('taxed', 'void'), ('empty', 'draft'), ('empty', 'void'), ('approved', 'issued'),
      ('approved', 'void'), ('issued', 'posted'), ('issued', 'void'))
  then
    raise exception 'invoice % cannot become % from %', old.id, new.state, old.state using errcode = 'check_violation';
  end if;
  if old.state in ('issued', 'posted', 'void')
    and to_jsonb(old) - steps is distinct from to_jsonb(new) - steps then
    raise exception 'invoice % is % and never changes', old.id, old.state
      using errcode = 'check_violation', hint = 'Correct it by a credit note and a new document.';
  end if;
  return new;
end $$;
create trigger invoices_stay before update on invoices for each row
  when (old.state in ('issued', 'posted', 'void') or old.state <> new.state) execute function invoice_stays();

-- ------------------------------------------------------------------------------------------------- rights
revoke all on audit_log, audit_head, dimensions from public;
grant select on audit_log, audit_head to tallyline_app;
grant select, insert on dimensions to tallyline_app;
revoke execute on function audit_part(text), audit_is_application(), audit_hold(),
  audit_append(text, text[], jsonb[], jsonb[]), audit_record(text, text, jsonb, jsonb), audit_difference(jsonb, jsonb, text[]) from public;
grant execute on function audit_record(text, text, jsonb, jsonb), audit_hold() to tallyline_app;

-- Master data: what the columns named here do not name is fixed once it is there (workers/store/master_kinds.py).
revoke update on erp_connections, legal_entities, accounts, billing_cycles, subscriptions, sources, meters, metrics,
  exclusion_rules, invoices from tallyline_app;
grant update (settings, per_second, concurrency) on erp_connections to tallyline_app;
grant update (name, connection_id, receivable_account, tax_account, tax_accounts) on legal_entities to tallyline_app;
grant update (name) on accounts to tallyline_app;
grant update (ends_at) on subscriptions to tallyline_app;
grant update (owner, quota_per_hour) on sources to tallyline_app;
grant update (owner) on meters, meter_versions, metrics, contract_versions, mappings to tallyline_app;
grant update (owner, meaning) on dimensions to tallyline_app;
grant update (reason, ends_at) on exclusion_rules to tallyline_app;
grant update (state, kind, net, tax, gross, pending, series, number, number_text, invoice_on, posting_on) on invoices
  to tallyline_app;
