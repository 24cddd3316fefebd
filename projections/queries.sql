-- name: read_channels
select c.channel, c.login, c.first_epoch_s, c.last_epoch_s, c.seals, s.channel is not null as stopped
  from channels c left join stopped_channels s using (channel)
 where c.channel > $1 order by c.channel limit $2;

-- name: read_channel
select c.channel, c.login, c.first_epoch_s, c.last_epoch_s, c.seals, s.channel is not null as stopped
  from channels c left join stopped_channels s using (channel)
 where c.channel = $1;

-- name: read_channel_of_login
select channel from channels where login = $1 order by last_epoch_s desc, channel limit 1;

-- name: read_epochs
select distinct on (e.epoch_start_s) {epoch}
  from sealed_epochs e
 where e.channel = $1 and e.epoch_start_s < $2
 order by e.epoch_start_s desc, e.revision desc limit $3;

-- name: read_epoch_latest
select {epoch} from sealed_epochs e
 where e.channel = $1 and e.epoch_start_s = $2 order by e.revision desc limit 1;

-- name: read_epoch_revision
select {epoch} from sealed_epochs e where e.channel = $1 and e.epoch_start_s = $2 and e.revision = $3;

-- name: read_revisions
select {epoch} from sealed_epochs e where e.channel = $1 and e.epoch_start_s = $2 order by e.revision;

-- name: read_newest_epoch
select {epoch} from sealed_epochs e
  join channels c on c.channel = e.channel and c.last_epoch_s = e.epoch_start_s
 order by e.epoch_start_s desc, e.seal_id desc limit 1;

-- name: read_seals_after
select {epoch} from sealed_epochs e where e.seal_id > $1 order by e.seal_id limit $2;

-- name: read_last_seal_id
select coalesce(max(seal_id), 0) from sealed_epochs;

-- name: read_body
select body from sealed_epochs where channel = $1 and epoch_start_s = $2 and revision = $3;

-- name: read_policy
select canonical from policies where policy_hash = $1;

-- name: read_viewer_key
select viewer_key from viewer_keys where identity = $1;

-- name: read_viewer_epochs
select v.seal_id, e.channel, e.login, e.epoch_start_s, e.revision, v.leaf_index, e.leaf_count, v.weight_centi,
       v.increase_base_units
  from viewer_epochs v join sealed_epochs e on e.seal_id = v.seal_id
 where v.viewer_key = $1 and v.seal_id < $2
 order by v.seal_id desc limit $3;

-- name: read_viewer_in_epoch
select v.seal_id, e.channel, e.login, e.epoch_start_s, e.revision, v.leaf_index, e.leaf_count, v.weight_centi,
       v.increase_base_units
  from sealed_epochs e join viewer_epochs v on v.viewer_key = $1 and v.seal_id = e.seal_id
 where e.channel = $2 and e.epoch_start_s = $3
 order by e.revision desc;

-- name: read_entitlement
select coalesce(sum(increase_base_units), 0) from viewer_epochs where viewer_key = $1;

-- name: read_allocations
select identity, channel, channel_login, epoch_start_s, revision, leaf_index, weight_centi, amount_base_units
  from claimable_allocations where viewer_key = $1 order by seal_id;

-- name: read_viewer_logins
select identity, login, first_seen_ms, last_seen_day::text as last_seen_day
  from user_mapping where viewer_key = $1 order by last_seen_day desc, first_seen_ms desc, login;

-- name: read_identities_of_login
select identity, login, first_seen_ms, last_seen_day::text as last_seen_day
  from user_mapping where login = $1 order by last_seen_day desc, first_seen_ms desc, identity;

-- name: read_late
select l.channel, l.epoch_start_s, l.events_offset, l.count,
       exists (select 1 from sealed_epochs e
                where e.channel = l.channel and e.epoch_start_s = l.epoch_start_s
                  and e.through_offset >= l.events_offset and e.closed_by = 'reseal') as sealed
  from late_events l
 where l.channel = $1 and l.epoch_start_s = $2 order by l.events_offset;

-- name: read_closed
select channel, from_s, until_s, closed_by from closed_hours
 where channel = $1 and from_s < $2 order by from_s desc limit $3;

-- name: read_boards_of_channel
select {board} from live_boards where channel = $1 order by epoch_start_s desc;

-- name: read_boards
select {board} from (
    select distinct on (channel) * from live_boards order by channel, epoch_start_s desc) newest
 order by messages desc, channel limit $1;

-- name: read_alarms
select id, (extract(epoch from raised_at) * 1000)::bigint as raised_at_ms, kind, subject, detail::text as detail
  from alarms where id < $1 order by id desc limit $2;

-- name: read_stopped
select s.channel, s.epoch_start_s, s.revision, s.known_seal_hash, s.met_seal_hash,
       (select count(*) from held_records h where h.channel = s.channel) as held
  from stopped_channels s order by s.channel;

-- name: read_positions
select projection, stream, partition, version, next_offset from projection_positions
 order by projection, stream, partition;

-- name: intern_viewers
insert into viewer_keys (identity)
select t.identity from unnest($1::text[]) as t (identity)
 where not exists (select 1 from viewer_keys k where k.identity = t.identity)
 order by t.identity
on conflict (identity) do nothing;

-- name: select_viewer_keys
select identity, viewer_key from viewer_keys where identity = any($1::text[]);

-- name: clone_table
create table {table} (like public.{table} including all);

-- name: table_options
select array_to_string(reloptions, ', ') from pg_class where oid = ('public.' || $1)::regclass;

-- name: digest_table
select count(*) as rows,
       coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) as low,
       coalesce(sum(hashtextextended(t::text, 1)::numeric), 0) as high
  from {table} t;

-- name: raise_alarm
insert into alarms (kind, subject, detail) values ($1, $2, $3) on conflict (kind, subject) do nothing;

-- name: known_seals
select e.channel, e.epoch_start_s, e.revision, e.seal_hash
  from unnest($1::text[], $2::bigint[]) as k (channel, epoch_start_s)
  join sealed_epochs e using (channel, epoch_start_s);

-- name: known_rulings
select r.channel, r.epoch_start_s, r.revision, r.seal_hash
  from unnest($1::text[], $2::bigint[], $3::integer[]) as k (channel, epoch_start_s, revision)
  join conflict_rulings r using (channel, epoch_start_s, revision);

-- name: stopped_channels
select channel from stopped_channels;

-- name: stop_channel
insert into stopped_channels
       (channel, epoch_start_s, revision, known_seal_hash, met_seal_hash, partition, sealed_offset)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: hold_record
insert into held_records (channel, partition, sealed_offset, records) values ($1, $2, $3, $4);

-- name: insert_late
insert into late_events (channel, epoch_start_s, events_offset, partition, count)
select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[])
on conflict do nothing;

-- name: insert_closed
insert into closed_hours (channel, from_s, until_s, events_offset, closed_by)
select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
on conflict do nothing;

-- name: insert_policies
insert into policies (policy_hash, canonical)
select * from unnest($1::bytea[], $2::text[])
on conflict do nothing;

-- name: intern_seals
insert into seal_keys (channel, epoch_start_s, revision)
select k.channel, k.epoch_start_s, k.revision
  from unnest($1::text[], $2::bigint[], $3::integer[]) with ordinality as k (channel, epoch_start_s, revision, place)
 where not exists (
       select 1 from seal_keys s
        where s.channel = k.channel and s.epoch_start_s = k.epoch_start_s and s.revision = k.revision)
 order by k.place
on conflict do nothing;

-- name: select_seal_ids
select s.channel, s.epoch_start_s, s.revision, s.seal_id
  from unnest($1::text[], $2::bigint[], $3::integer[]) as k (channel, epoch_start_s, revision)
  join seal_keys s using (channel, epoch_start_s, revision);

-- name: upsert_channels
insert into channels as c (channel, login, first_epoch_s, last_epoch_s, seals)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
on conflict (channel) do update set
    login = case when excluded.last_epoch_s >= c.last_epoch_s then excluded.login else c.login end,
    first_epoch_s = least(c.first_epoch_s, excluded.first_epoch_s),
    last_epoch_s = greatest(c.last_epoch_s, excluded.last_epoch_s),
    seals = c.seals + excluded.seals;

-- name: insert_epoch
insert into sealed_epochs (
    channel, epoch_start_s, revision, seal_id, login, epoch_length_s, leaf_count, total_weight_centi, total_messages,
    seal_hash, root, policy_hash, header, coverage, observed_ms, absent_ms, events, duplicates, conflicts, excluded,
    partition, from_offset, through_offset, closed_by, sealed_offset, body)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
        $25, $26);

-- name: allocated_before
select v.viewer_key, sum(v.increase_base_units) as base_units
  from sealed_epochs e join viewer_epochs v on v.seal_id = e.seal_id
 where e.channel = $1 and e.epoch_start_s = $2 and v.increase_base_units > 0
 group by v.viewer_key;

-- name: insert_shortfall
insert into allocation_shortfalls (viewer_key, seal_id, shortfall_base_units) values ($1, $2, $3);


-- name: make_position
insert into projection_positions (projection, stream, partition, version, next_offset, resume_offset)
values ($1, $2, $3, $4, 0, 0)
on conflict do nothing;

-- name: load_positions
select partition, version, next_offset, resume_offset from projection_positions
 where projection = $1 and stream = $2 order by partition;

-- name: advance_position
update projection_positions set next_offset = $5, resume_offset = $6
 where projection = $1 and stream = $2 and partition = $3 and next_offset = $4
returning partition;

-- name: set_resume
update projection_positions set resume_offset = $4 where projection = $1 and stream = $2 and partition = $3;

-- name: try_lock
select pg_try_advisory_lock(hashtextextended('twzrd projection ' || $1, 0));

-- name: stage_logins
create temporary table if not exists staged_logins (
    viewer_key bigint, login text, first_seen_ms bigint, last_seen_day date) on commit delete rows;

-- name: upsert_logins
insert into viewer_logins as v (viewer_key, login, first_seen_ms, last_seen_day)
select viewer_key, login, first_seen_ms, last_seen_day from staged_logins
on conflict (viewer_key, login) do update set
    first_seen_ms = least(v.first_seen_ms, excluded.first_seen_ms),
    last_seen_day = greatest(v.last_seen_day, excluded.last_seen_day)
 where excluded.first_seen_ms < v.first_seen_ms or excluded.last_seen_day > v.last_seen_day;

-- name: drop_boards
delete from live_boards b
 using unnest($1::text[], $2::bigint[]) as d (channel, epoch_start_s)
 where b.channel = d.channel and b.epoch_start_s = d.epoch_start_s;

-- name: upsert_board
insert into live_boards (channel, epoch_start_s, login, participants, untracked_events, messages, weight_centi,
                         last_event_ms, observed_to_ms, top)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (channel, epoch_start_s) do update set
    login = excluded.login,
    participants = excluded.participants,
    untracked_events = excluded.untracked_events,
    messages = excluded.messages,
    weight_centi = excluded.weight_centi,
    last_event_ms = excluded.last_event_ms,
    observed_to_ms = excluded.observed_to_ms,
    top = excluded.top;

-- name: insert_snapshot
insert into viewer_snapshots (channel, at_ms, login, viewers, title, game, started_at_ms)
values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing;

-- name: suppress
insert into suppression_list (viewer, since_ms, said_by, note, control_offset) values ($1, $2, $3, $4, $5)
on conflict (viewer) do update set since_ms = excluded.since_ms, said_by = excluded.said_by, note = excluded.note,
    control_offset = excluded.control_offset;

-- name: unsuppress
delete from suppression_list where viewer = $1;

-- name: log_suppression
insert into suppression_log (control_offset, viewer, suppressed, at_ms, said_by, note) values ($1, $2, $3, $4, $5, $6)
on conflict do nothing;

-- name: insert_raw_events
insert into twitch_events_raw
    (channel, event_id, at_ms, channel_login, kind, viewer, login, amount, partition, events_offset)
select * from unnest($1::text[], $2::bytea[], $3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::text[],
    $8::bigint[], $9::integer[], $10::bigint[])
on conflict do nothing;

-- name: insert_raw_messages
insert into twitch_messages_raw (channel, event_id, at_ms, viewer, login, message)
select * from unnest($1::text[], $2::bytea[], $3::bigint[], $4::text[], $5::text[], $6::text[])
on conflict do nothing;

-- name: day_file_sizes
select file, size_bytes from raw_day_files where name = $1;

-- name: set_day_file_size
insert into raw_day_files (name, file, size_bytes) values ($1, $2, $3)
on conflict (name, file) do update set size_bytes = excluded.size_bytes;

-- name: forget_day_file
delete from raw_day_files where name = $1 and file = $2;

-- name: expire_raw_events
delete from twitch_events_raw where at_ms < $1;

-- name: expire_raw_messages
delete from twitch_messages_raw where at_ms < $1;

-- name: make_rebuild_schema
drop schema if exists {schema} cascade;
create schema {schema};
set search_path to {schema}, public

-- name: drop_rebuild_schema
set search_path to public;
drop schema if exists {schema} cascade

-- name: lock_standing
select partition from public.projection_positions where projection = $1 order by stream, partition for update;

-- name: standing_positions
select partition, version, next_offset from public.projection_positions
 where projection = $1 and stream = $2 order by partition;

-- name: set_standing_version
update public.projection_positions set version = $2 where projection = $1;

-- name: rows_only_in
select left(shown, $1) as shown from (
    (select t::text as shown from {here}.{table} t except select t::text from {there}.{table} t)) only_here
 order by shown limit $2;

-- name: views_over
with recursive over (oid, depth) as (
    select c.oid, 0 from pg_class c
     where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname = any($1::text[])
    union
    select r.ev_class, over.depth + 1
      from over
      join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = over.oid
       and d.classid = 'pg_rewrite'::regclass
      join pg_rewrite r on r.oid = d.objid and r.ev_class <> over.oid
)
select v.oid::regclass::text as name, pg_get_viewdef(v.oid) as definition
  from (select oid, max(depth) as depth from over where depth > 0 group by oid) v
 order by v.depth, name;

-- name: rights_on
select c.oid::regclass::text as name,
       case when r.attname is null then r.privilege_type
            else format('%s (%I)', r.privilege_type, r.attname) end as what,
       case when r.grantee = 0 then 'public' else r.grantee::regrole::text end as grantee,
       case when r.is_grantable then ' with grant option' else '' end as option
  from unnest($1::text[]) as t (name)
  join pg_class c on c.oid = t.name::regclass
 cross join lateral (
       select null::name as attname, a.grantee, a.privilege_type, a.is_grantable from aclexplode(c.relacl) a
        union all
       select b.attname, a.grantee, a.privilege_type, a.is_grantable
         from pg_attribute b cross join lateral aclexplode(b.attacl) a
        where b.attrelid = c.oid and not b.attisdropped) r
 where r.grantee <> c.relowner
 order by name, grantee, what;

-- name: end_stop
delete from stopped_channels where channel = $1 returning epoch_start_s, revision, met_seal_hash;

-- name: insert_ruling
insert into conflict_rulings (channel, epoch_start_s, revision, seal_hash, note) values ($1, $2, $3, $4, $5)
on conflict do nothing;

-- name: take_held
with taken as (
    delete from held_records where channel = $1 returning partition, sealed_offset, records)
select partition, sealed_offset, records from taken order by partition, sealed_offset;

-- name: export_seals
select e.header, e.login, e.seal_hash, e.coverage, e.observed_ms, e.absent_ms, e.closed_by
  from sealed_epochs e
 where ($1::text is null or e.channel = $1) and e.epoch_start_s >= $2 and e.epoch_start_s < $3
 order by e.channel, e.epoch_start_s, e.revision;

-- name: export_leaves
select e.channel, e.epoch_start_s, e.revision, e.body
  from sealed_epochs e
 where ($1::text is null or e.channel = $1) and e.epoch_start_s >= $2 and e.epoch_start_s < $3
 order by e.channel, e.epoch_start_s, e.revision;

-- name: export_participants
select e.channel, e.epoch_start_s, e.revision, e.body
  from sealed_epochs e
 where ($1::text is null or e.channel = $1) and e.epoch_start_s >= $2 and e.epoch_start_s < $3
 order by e.channel, e.epoch_start_s, e.revision;

-- name: export_allocations
select a.identity, a.channel, a.channel_login, a.epoch_start_s, a.revision, a.leaf_index, a.weight_centi,
       a.amount_base_units
  from claimable_allocations a
 where ($1::text is null or a.channel = $1) and a.epoch_start_s >= $2 and a.epoch_start_s < $3
 order by a.channel, a.epoch_start_s, a.revision, a.viewer_key;

-- name: tables_missing
select t.name from unnest($1::text[]) as t (name) where to_regclass('public.' || quote_ident(t.name)) is null;

-- name: count_stopped
select count(*) from stopped_channels;

-- name: read_standing
select (select coalesce(max(seal_id), 0) from sealed_epochs) as last_seal_id,
       (select count(*) from stopped_channels) as stopped, (select count(*) from alarms) as alarms;

-- name: unlock
select pg_advisory_unlock(hashtextextended('twzrd projection ' || $1, 0));
