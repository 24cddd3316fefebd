-- What the stream `control` says (projection "control"), and events one by one for operators who want them ("raw").

create table suppression_list (
    viewer text primary key,
    since_ms bigint not null,
    said_by text not null,
    note text not null,
    control_offset bigint not null
);

create table suppression_log (
    control_offset bigint primary key,
    viewer text not null,
    suppressed boolean not null,
    at_ms bigint not null,
    said_by text not null,
    note text not null
);
create index on suppression_log (viewer);

alter table viewer_snapshots
    add column title text,
    add column game text,
    add column started_at_ms bigint;

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

create table raw_day_files (
    name text not null,
    file text not null,
    size_bytes bigint not null,
    primary key (name, file)
);
