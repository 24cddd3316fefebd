-- The log's own schema. Records lie in segment tables, one set per stream, made like log.record as the log grows and
-- dropped whole when every partition has been trimmed past them: a drop unlinks files, where a DELETE would write each
-- page once more to the WAL and once more in vacuum.

create table log.stream (
    id smallint generated always as identity primary key,
    name text not null unique,
    partitions integer not null check (partitions between 1 and 1024)
);
comment on table log.stream is 'The streams and their fixed partition counts';

create table log.head (
    stream_id smallint not null references log.stream,
    partition integer not null check (partition >= 0),
    first_offset bigint not null default 0,
    next_offset bigint not null default 0,
    segment integer not null default 0,
    primary key (stream_id, partition),
    check (0 <= first_offset and first_offset <= next_offset)
) with (fillfactor = 20);
comment on table log.head is
    'Where each partition stands; an append updates its row first, so offsets are gapless and become visible in order';

create table log.segment (
    stream_id smallint not null references log.stream,
    segment integer not null,
    partition integer not null,
    first_offset bigint not null,
    primary key (stream_id, segment, partition)
);
comment on table log.segment is 'At which offset each partition''s share of a segment table begins';

-- Never filled: segment tables log.record_<stream id>_<segment> are made like it.
create table log.record (
    partition integer not null,
    "offset" bigint not null,
    time_ms bigint not null,
    key bytea not null,
    value bytea not null,
    primary key (partition, "offset")
);
-- Envelopes bear random ids and sealed bodies are zstd already: compressing again costs more than it saves.
alter table log.record alter column value set storage external;

create table log.position (
    consumer_group text not null,
    stream_id smallint not null references log.stream,
    partition integer not null,
    "offset" bigint not null check ("offset" >= 0),
    primary key (consumer_group, stream_id, partition)
) with (fillfactor = 20);
comment on table log.position is 'The next offset each consumer group needs; trimming stops there';

create table log.member (
    consumer_group text not null,
    stream_id smallint not null references log.stream,
    worker text not null,
    at_most integer,
    expires_at timestamptz not null,
    primary key (consumer_group, stream_id, worker)
);
comment on table log.member is 'Live workers of a group, among whom partitions are shared';

create table log.lease (
    consumer_group text not null,
    stream_id smallint not null references log.stream,
    partition integer not null,
    worker text,
    generation bigint not null default 0,
    expires_at timestamptz,
    primary key (consumer_group, stream_id, partition),
    check ((worker is null) = (expires_at is null))
) with (fillfactor = 20);
comment on table log.lease is
    'Who owns a partition; each change of owner raises generation, which every transaction of an owner checks';
