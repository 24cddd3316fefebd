-- Names of viewers (projection "names"), boards of open hours (projection "live"), audience sizes (a collector's writer).

create table viewer_logins (
    viewer_key bigint not null,
    login text not null,
    first_seen_ms bigint not null,
    last_seen_day date not null,
    primary key (viewer_key, login)
) with (fillfactor = 80);
create index on viewer_logins using hash (login);

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

create table viewer_snapshots (
    channel text not null,
    at_ms bigint not null,
    login text not null,
    viewers integer not null check (viewers >= 0),
    primary key (channel, at_ms)
);
