-- The original's names over the read models. Leaves lie in a zstd block, which SQL cannot open: the views stand on
-- viewer_epochs, which has a row for each leaf, and reach one epoch's rows through its block-range index.

create view user_mapping as
select v.viewer_key,
       coalesce(k.identity, 'twitch:id:' || v.viewer_key) as identity,
       v.login,
       v.first_seen_ms,
       v.last_seen_day
  from viewer_logins v
  left join viewer_keys k on k.viewer_key = v.viewer_key;

create view claimable_allocations as
select 'twitch:id:' || v.viewer_key as identity,
       v.viewer_key,
       v.seal_id,
       e.channel,
       e.login as channel_login,
       e.epoch_start_s,
       e.revision,
       v.leaf_index,
       v.weight_centi,
       v.increase_base_units as amount_base_units
  from viewer_epochs v
  join sealed_epochs e on e.seal_id = v.seal_id
 where v.viewer_key >= 0 and v.increase_base_units > 0;

create view sealed_participants as
select e.epoch_start_s as epoch,
       e.login as channel,
       e.channel as channel_identity,
       e.revision,
       v.leaf_index as idx,
       coalesce(k.identity, 'twitch:id:' || v.viewer_key) as viewer,
       n.login as username,
       v.weight_centi
  from sealed_epochs e
  join viewer_epochs v on v.seal_id = e.seal_id
  left join viewer_keys k on k.viewer_key = v.viewer_key
  left join lateral (
       select l.login from viewer_logins l where l.viewer_key = v.viewer_key
        order by l.last_seen_day desc, l.first_seen_ms desc, l.login limit 1) n on true;

create view channel_participation as
select p.epoch, p.channel, p.channel_identity, p.viewer, p.username, p.weight_centi
  from sealed_participants p
 where not exists (
       select 1 from sealed_epochs later
        where later.channel = p.channel_identity and later.epoch_start_s = p.epoch and later.revision > p.revision);
