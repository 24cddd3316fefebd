-- What outlives a rebuild: positions, alarms, an operator's rulings, and the registries that give things short numbers.

create table projection_positions (
    projection text not null,
    stream text not null,
    partition integer not null,
    version integer not null,
    next_offset bigint not null,
    resume_offset bigint not null,
    primary key (projection, stream, partition)
);

create table alarms (
    id bigint generated always as identity primary key,
    raised_at timestamptz not null default now(),
    kind text not null,
    subject text not null,
    detail jsonb not null,
    unique (kind, subject)
);

create table conflict_rulings (
    channel text not null,
    epoch_start_s bigint not null,
    revision integer not null,
    seal_hash bytea not null,
    ruled_at timestamptz not null default now(),
    note text not null,
    primary key (channel, epoch_start_s, revision, seal_hash)
);

create table seal_keys (
    seal_id integer generated always as identity primary key,
    channel text not null,
    epoch_start_s bigint not null,
    revision integer not null,
    unique (channel, epoch_start_s, revision)
);

create table viewer_keys (
    viewer_key bigint generated always as identity (start with -1 increment by -1 minvalue -9223372036854775807 maxvalue -1)
        primary key,
    identity text not null unique
);
