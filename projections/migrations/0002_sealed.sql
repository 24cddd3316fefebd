-- The read models of `epoch.sealed`. Written by the projection "sealed" only; can be built again from the log.

create table policies (
    policy_hash bytea primary key,
    canonical text not null
);

create table channels (
    channel text primary key,
    login text not null,
    first_epoch_s bigint not null,
    last_epoch_s bigint not null,
    seals bigint not null
);
create index on channels (login);

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

create table viewer_epochs (
    viewer_key bigint not null,
    weight_centi bigint not null,
    seal_id integer not null,
    leaf_index integer not null,
    increase_base_units numeric not null,
    primary key (viewer_key, seal_id)
);
create index on viewer_epochs using brin (seal_id) with (autosummarize = on);

create table allocation_shortfalls (
    viewer_key bigint not null,
    seal_id integer not null,
    shortfall_base_units numeric not null,
    primary key (viewer_key, seal_id)
);

create table late_events (
    channel text not null,
    epoch_start_s bigint not null,
    events_offset bigint not null,
    partition integer not null,
    count bigint not null,
    primary key (channel, epoch_start_s, events_offset)
);

create table closed_hours (
    channel text not null,
    from_s bigint not null,
    until_s bigint not null,
    events_offset bigint not null,
    closed_by text not null,
    primary key (channel, from_s, until_s)
);

create table stopped_channels (
    channel text primary key,
    epoch_start_s bigint not null,
    revision integer not null,
    known_seal_hash bytea not null,
    met_seal_hash bytea not null,
    partition integer not null,
    sealed_offset bigint not null
);

create table held_records (
    channel text not null,
    partition integer not null,
    sealed_offset bigint not null,
    records bytea[] not null,
    primary key (channel, partition, sealed_offset)
);
alter table held_records alter column records set storage external;
