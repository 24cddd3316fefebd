-- The read models, as all files of projections/migrations together make them (a test compares the two catalogs).
-- Everything lies in the schema `public`. Units stand last in a name: _ms and _s are UTC, _centi hundredths of weight,
-- _base_units the token's smallest unit. Hashes are 32 raw bytes. The log's own tables are not here: see streams/log.

-- ---- What outlives a rebuild ---------------------------------------------------------------------------------------

-- How far each projection is. Moved in the same transaction as what the projection writes; the update names the offset
-- that it moves from, so nothing is applied twice. resume_offset (<= next_offset): where reading starts after a restart,
-- to see an unfinished seal from its first part, or to fill a projection's memory again.
create table projection_positions (
    projection text not null,
    stream text not null,
    partition integer not null,
    version integer not null,
    next_offset bigint not null,
    resume_offset bigint not null,
    primary key (projection, stream, partition)
);

-- What an operator must look at: seal_conflict, seal_damaged, allocation_shortfall, undecodable_record. Each subject is
-- raised once.
create table alarms (
    id bigint generated always as identity primary key,
    raised_at timestamptz not null default now(),
    kind text not null,
    subject text not null,
    detail jsonb not null,
    unique (kind, subject)
);

-- Seals that contradict a known one and were dismissed by an operator; runners and rebuilds pass them over.
create table conflict_rulings (
    channel text not null,
    epoch_start_s bigint not null,
    revision integer not null,
    seal_hash bytea not null,
    ruled_at timestamptz not null default now(),
    note text not null,
    primary key (channel, epoch_start_s, revision, seal_hash)
);

-- Short numbers of seals, the same after any rebuild; they rise in the order in which seals were applied.
create table seal_keys (
    seal_id integer generated always as identity primary key,
    channel text not null,
    epoch_start_s bigint not null,
    revision integer not null,
    unique (channel, epoch_start_s, revision)
);

-- Short keys (< 0) of viewers who are not known by a Twitch id. Of all others the key is the id itself.
create table viewer_keys (
    viewer_key bigint generated always as identity (start with -1 increment by -1 minvalue -9223372036854775807 maxvalue -1)
        primary key,
    identity text not null unique
);

-- ---- Sealed epochs: projection "sealed" ----------------------------------------------------------------------------

-- Canonical JSON of each policy that a seal names.
create table policies (
    policy_hash bytea primary key,
    canonical text not null
);

-- Channels that have a seal. login: as of the newest epoch; seals: revisions count too.
create table channels (
    channel text primary key,
    login text not null,
    first_epoch_s bigint not null,
    last_epoch_s bigint not null,
    seals bigint not null
);
create index on channels (login);

-- One row a seal. header: its canonical bytes; coverage: [[from_ms, to_ms, kind], …]; events .. excluded: what the fold
-- met, for people; from_offset, through_offset: the records of chat.events that were folded; sealed_offset: the record
-- of epoch.sealed; body: the participants as a zstd block of columns (schemas.sealed), compressed already, so external.
create table sealed_epochs (
    channel text not null,
    epoch_start_s bigint not null,
    revision integer not null,
    seal_id integer not null unique,
    login text not null,
    epoch_length_s integer not null,
    leaf_count bigint not null,
    total_weight_centi numeric not null,
    total_messages numeric not null,
    seal_hash bytea not null,
    root bytea not null,
    policy_hash bytea not null,
    header bytea not null,
    coverage jsonb not null,
    observed_ms bigint not null,
    absent_ms bigint not null,
    events bigint not null,
    duplicates bigint not null,
    conflicts bigint not null,
    excluded bigint not null,
    partition integer not null,
    from_offset bigint not null,
    through_offset bigint not null,
    closed_by text not null,
    sealed_offset bigint not null,
    body bytea not null,
    primary key (channel, epoch_start_s, revision)
);
alter table sealed_epochs alter column body set storage external;

-- One row a leaf: everything of one viewer by the key, everything of one seal by the block-range index (seals that
-- one step applied lie together by viewer, in runs of some 65,536 rows). increase_base_units: what this revision added to
-- what the viewer may claim; a viewer's rows of one channel and epoch sum to the largest amount that any revision gave.
-- 0 where viewer_key < 0.
create table viewer_epochs (
    viewer_key bigint not null,
    weight_centi bigint not null,
    seal_id integer not null,
    leaf_index integer not null,
    increase_base_units numeric not null,
    primary key (viewer_key, seal_id)
);
create index on viewer_epochs using brin (seal_id) with (autosummarize = on);

-- What a revision would have taken away from an earlier one's allocation, and did not.
create table allocation_shortfalls (
    viewer_key bigint not null,
    seal_id integer not null,
    shortfall_base_units numeric not null,
    primary key (viewer_key, seal_id)
);

-- Events that came after their epoch had closed: how many, in which record of chat.events.
create table late_events (
    channel text not null,
    epoch_start_s bigint not null,
    events_offset bigint not null,
    partition integer not null,
    count bigint not null,
    primary key (channel, epoch_start_s, events_offset)
);

-- Epochs [from_s, until_s) that closed without a seal: nobody observed them and nothing was said.
create table closed_hours (
    channel text not null,
    from_s bigint not null,
    until_s bigint not null,
    events_offset bigint not null,
    closed_by text not null,
    primary key (channel, from_s, until_s)
);

-- Channels with a seal that came again with another hash: nothing more of them is applied until an operator rules.
create table stopped_channels (
    channel text primary key,
    epoch_start_s bigint not null,
    revision integer not null,
    known_seal_hash bytea not null,
    met_seal_hash bytea not null,
    partition integer not null,
    sealed_offset bigint not null
);

-- What stopped channels said since, as record values (a seal's parts and its header), to be applied after the ruling.
create table held_records (
    channel text not null,
    partition integer not null,
    sealed_offset bigint not null,
    records bytea[] not null,
    primary key (channel, partition, sealed_offset)
);
alter table held_records alter column records set storage external;

-- ---- Names, boards, audiences --------------------------------------------------------------------------------------

-- Projection "names": which viewer bore which login. first_seen_ms exact; last_seen_day: the UTC day.
create table viewer_logins (
    viewer_key bigint not null,
    login text not null,
    first_seen_ms bigint not null,
    last_seen_day date not null,
    primary key (viewer_key, login)
) with (fillfactor = 80);
create index on viewer_logins using hash (login);

-- Projection "live": hours that are open. participants: tracked viewers; untracked_events: events of viewers beyond
-- the bound of tracked ones (0: all is exact); top: [{identity, login, messages, weight_centi}, …].
create table live_boards (
    channel text not null,
    epoch_start_s bigint not null,
    login text not null,
    participants integer not null,
    untracked_events bigint not null,
    messages bigint not null,
    weight_centi numeric not null,
    last_event_ms bigint not null,
    observed_to_ms bigint not null,
    top jsonb not null,
    primary key (channel, epoch_start_s)
) with (fillfactor = 50);

-- Audience sizes, as the discovery saw them: projection "control" adds them and a rebuild leaves them alone. title and
-- game are the streamer's words; started_at_ms: of the broadcast.
create table viewer_snapshots (
    channel text not null,
    at_ms bigint not null,
    login text not null,
    viewers integer not null check (viewers >= 0),
    title text,
    game text,
    started_at_ms bigint,
    primary key (channel, at_ms)
);

-- ---- Opt-outs: projection "control" --------------------------------------------------------------------------------

-- Viewers whose events are dropped before the log. viewer: an identity; twitch:login:... stands for whoever bears it.
create table suppression_list (
    viewer text primary key,
    since_ms bigint not null,
    said_by text not null,
    note text not null,
    control_offset bigint not null
);

-- Every opt-out and opt-in that was said, by its record of `control`. Kept by a rebuild, since the stream is compacted.
create table suppression_log (
    control_offset bigint primary key,
    viewer text not null,
    suppressed boolean not null,
    at_ms bigint not null,
    said_by text not null,
    note text not null
);
create index on suppression_log (viewer);

-- ---- Events one by one: `twzrd raw`, off unless an operator runs it ------------------------------------------------

-- Every event once, whoever collected it. kind as in docs/spec.md section 2; partition, events_offset: its record of
-- chat.events. Rows older than the retention are deleted.
create table twitch_events_raw (
    channel text not null,
    event_id bytea not null,
    at_ms bigint not null,
    channel_login text not null,
    kind smallint not null,
    viewer text not null,
    login text not null,
    amount bigint not null,
    partition integer not null,
    events_offset bigint not null,
    primary key (channel, event_id)
);
create index on twitch_events_raw using brin (at_ms) with (autosummarize = on);

-- What was said, only where the operator keeps text (TWZRD_KEEP_TEXT); apart, so that it can be deleted apart.
create table twitch_messages_raw (
    channel text not null,
    event_id bytea not null,
    at_ms bigint not null,
    viewer text not null,
    login text not null,
    message text not null,
    primary key (channel, event_id)
);
create index on twitch_messages_raw using brin (at_ms) with (autosummarize = on);

-- How far each NDJSON day file is written: moved with the rows of the same records; what lies behind is cut off.
create table raw_day_files (
    name text not null,
    file text not null,
    size_bytes bigint not null,
    primary key (name, file)
);

-- ---- Views with the names of the system before this one ------------------------------------------------------------

-- Identity -> logins over time.
create view user_mapping as
select v.viewer_key,
       coalesce(k.identity, 'twitch:id:' || v.viewer_key) as identity,
       v.login,
       v.first_seen_ms,
       v.last_seen_day
  from viewer_logins v
  left join viewer_keys k on k.viewer_key = v.viewer_key;

-- Amounts > 0 of viewers known by Twitch id: one for each revision that added something.
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

-- Who is in which seal, all revisions; idx is the leaf's place in the tree, username the viewer's latest login.
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

-- Who took part in a channel's hour, in its latest revision.
create view channel_participation as
select p.epoch, p.channel, p.channel_identity, p.viewer, p.username, p.weight_centi
  from sealed_participants p
 where not exists (
       select 1 from sealed_epochs later
        where later.channel = p.channel_identity and later.epoch_start_s = p.epoch and later.revision > p.revision);
