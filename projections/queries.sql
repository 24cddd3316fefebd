-- read_channels --
select c.channel, c.login, c.first_epoch_s, c.last_epoch_s, c.seals, s.channel is not null as stopped
  from channels c left join stopped_channels s using (channel)
 where c.channel > $1 order by c.channel limit $2;

-- read_channel --
select c.channel, c.login, c.first_epoch_s, c.last_epoch_s, c.seals, s.channel is not null as stopped
  from channels c left join stopped_channels s using (channel)
 where c.channel = $1;

-- read_channel_of_login --
select channel from channels where login = $1 order by last_epoch_s desc, channel limit 1;

-- read_epochs --
select distinct on (e.epoch_start_s) {epoch}
  from sealed_epochs e
 where e.channel = $1 and e.epoch_start_s < $2
 order by e.epoch_start_s desc, e.revision desc limit $3;

-- read_epoch_latest --
select {epoch} from sealed_epochs e
 where e.channel = $1 and e.epoch_start_s = $2 order by e.revision desc limit 1;

-- read_epoch_revision --
select {epoch} from sealed_epochs e where e.channel = $1 and e.epoch_start_s = $2 and e.revision = $3;

-- read_revisions --
select {epoch} from sealed_epochs e where e.channel = $1 and e.epoch_start_s = $2 order by e.revision;

-- read_newest_epoch --
select {epoch} from sealed_epochs e
  join channels c on c.channel = e.channel and c.last_epoch_s = e.epoch_start_s
 order by e.epoch_start_s desc, e.seal_id desc limit 1;

-- read_seals_after --
select {epoch} from sealed_epochs e where e.seal_id > $1 order by e.seal_id limit $2;

-- read_last_seal_id --
select coalesce(max(seal_id), 0) from sealed_epochs;

-- read_body --
select body from sealed_epochs where channel = $1 and epoch_start_s = $2 and revision = $3;

-- read_policy --
select canonical from policies where policy_hash = $1;

-- read_viewer_key --
select viewer_key from viewer_keys where identity = $1;

-- read_viewer_epochs --
select v.seal_id, e.channel, e.login, e.epoch_start_s, e.revision, v.leaf_index, e.leaf_count, v.weight_centi,
       v.increase_base_units
  from viewer_epochs v join sealed_epochs e on e.seal_id = v.seal_id
 where v.viewer_key = $1 and v.seal_id < $2
 order by v.seal_id desc limit $3;

-- read_viewer_in_epoch --
select v.seal_id, e.channel, e.login, e.epoch_start_s, e.revision, v.leaf_index, e.leaf_count, v.weight_centi,
       v.increase_base_units
  from sealed_epochs e join viewer_epochs v on v.viewer_key = $1 and v.seal_id = e.seal_id
 where e.channel = $2 and e.epoch_start_s = $3
 order by e.revision desc;

-- read_entitlement --
select coalesce(sum(increase_base_units), 0) from viewer_epochs where viewer_key = $1;

-- read_allocations --
select identity, channel, channel_login, epoch_start_s, revision, leaf_index, weight_centi, amount_base_units
  from claimable_allocations where viewer_key = $1 order by seal_id;

-- read_viewer_logins --
select identity, login, first_seen_ms, last_seen_day::text as last_seen_day
  from user_mapping where viewer_key = $1 order by last_seen_day desc, first_seen_ms desc, login;

-- read_identities_of_login --
select identity, login, first_seen_ms, last_seen_day::text as last_seen_day
  from user_mapping where login = $1 order by last_seen_day desc, first_seen_ms desc, identity;

-- read_late --
select l.channel, l.epoch_start_s, l.events_offset, l.count,
       exists (select 1 from sealed_epochs e
                where e.channel = l.channel and e.epoch_start_s = l.epoch_start_s
                  and e.through_offset >= l.events_offset and e.closed_by = 'reseal') as sealed
  from late_events l
 where l.channel = $1 and l.epoch_start_s = $2 order by l.events_offset;

-- read_closed --
select channel, from_s, until_s, closed_by from closed_hours
 where channel = $1 and from_s < $2 order by from_s desc limit $3;

-- read_boards_of_channel --
select {board} from live_boards where channel = $1 order by epoch_start_s desc;

-- read_boards --
select {board} from (
    select distinct on (channel) * from live_boards order by channel, epoch_start_s desc) newest
 order by messages desc, channel limit $1;

-- read_alarms --
select id, (extract(epoch from raised_at) * 1000)::bigint as raised_at_ms, kind, subject, detail::text as detail
  from alarms where id < $1 order by id desc limit $2;

-- read_stopped --
select s.channel, s.epoch_start_s, s.revision, s.known_seal_hash, s.met_seal_hash,
       (select count(*) from held_records h where h.channel = s.channel) as held
  from stopped_channels s order by s.channel;

-- read_positions --
select projection, stream, partition, version, next_offset from projection_positions
 order by projection, stream, partition;

-- intern_viewers --
insert into viewer_keys (identity)
select t.identity from unnest($1::text[]) as t (identity)
 where not exists (select 1 from viewer_keys k where k.identity = t.identity)
 order by t.identity
on conflict (identity) do nothing;

-- select_viewer_keys --
select identity, viewer_key from viewer_keys where identity = any($1::text[]);
