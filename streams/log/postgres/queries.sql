-- Every statement of the Postgres log, by name. {segment} stands for the table of one segment.

-- name: streams
select id, name, partitions from log.stream

-- name: lock_setup
select pg_advisory_xact_lock(hashtextextended('twzrd log setup', 0))

-- name: add_stream
insert into log.stream (name, partitions) values ($1, $2) returning id

-- name: add_heads
insert into log.head (stream_id, partition) select $1, p from generate_series(0, $2::integer - 1) as p

-- name: lock_heads
select partition, next_offset, segment from log.head where stream_id = $1 order by partition for update

-- name: add_segment
insert into log.segment (stream_id, segment, partition, first_offset)
select stream_id, $2, partition, next_offset from log.head where stream_id = $1

-- name: create_segment
-- Append-only and dropped whole: vacuum has nothing to do there (except against wrap-around, which it does anyhow).
-- A value that fits a page stays in its row: an envelope of 200 events needs no TOAST chunks and no look-up of them.
create table {segment} (like log.record including all)
with (autovacuum_enabled = false, toast.autovacuum_enabled = false, toast_tuple_target = 8160)

-- name: point_heads
update log.head set segment = $2 where stream_id = $1

-- name: segment_bytes
select coalesce(pg_total_relation_size(to_regclass($1)), 0)

-- name: segments
select segment, partition, first_offset from log.segment where stream_id = $1 order by partition, segment

-- name: advance_heads
-- Rows are locked in one order everywhere, so that two writers never wait for each other.
with wanted as (
    select * from unnest($1::smallint[], $2::integer[], $3::integer[]) as w (stream_id, partition, records)
),
locked as materialized (
    select h.stream_id, h.partition from log.head h join wanted w using (stream_id, partition)
    order by h.stream_id, h.partition for update of h
)
update log.head h set next_offset = h.next_offset + w.records
from wanted w join locked l using (stream_id, partition)
where h.stream_id = l.stream_id and h.partition = l.partition
returning h.stream_id, h.partition, h.next_offset - w.records as first, h.segment,
    (extract(epoch from clock_timestamp()) * 1000)::bigint as time_ms

-- name: read
select "offset", key, value, time_ms
from (
    select *, row_number() over in_order as n, sum(octet_length(key) + octet_length(value)) over in_order as bytes
    from (
        select "offset", key, value, time_ms from {segment}
        where partition = $2
            and "offset" >= greatest($3, (select first_offset from log.head where stream_id = $1 and partition = $2))
        order by "offset" limit $4
    ) as bounded
    window in_order as (order by "offset" rows unbounded preceding)
) as counted
where bytes <= $5 or n = 1
order by "offset"

-- name: head
select first_offset, next_offset, segment from log.head where stream_id = $1 and partition = $2

-- name: commit_position
insert into log.position (consumer_group, stream_id, partition, "offset") values ($1, $2, $3, $4)
on conflict (consumer_group, stream_id, partition) do update set "offset" = excluded."offset"

-- name: position
select "offset" from log.position where consumer_group = $1 and stream_id = $2 and partition = $3

-- name: trim
-- A group that has a position anywhere on the stream holds back partitions where it has none yet.
update log.head h set first_offset = greatest(h.first_offset, least(h.next_offset, $3, (
    select min(coalesce(p."offset", 0))
    from (select distinct consumer_group from log.position where stream_id = $1) as g
    left join log.position p on p.consumer_group = g.consumer_group and p.stream_id = $1 and p.partition = $2
)))
where h.stream_id = $1 and h.partition = $2
returning h.first_offset

-- name: trimmed_segments
-- Segments whose successor begins at or below the first retained offset in every partition.
select s.segment
from log.segment s
join log.segment following
    on following.stream_id = s.stream_id and following.partition = s.partition and following.segment = s.segment + 1
join log.head h on h.stream_id = s.stream_id and h.partition = s.partition
where s.stream_id = $1
group by s.segment
having bool_and(following.first_offset <= h.first_offset)
order by s.segment

-- name: compact
-- {segment}: the table to thin out; {records}: all of the stream's segments. A record goes where a newer one of its key
-- is there and it is old enough; offsets stay as they are, so the stream then has gaps.
delete from {segment} old
using (select key, max("offset") as newest from ({records}) as every where partition = $1 group by key) as latest
where old.partition = $1 and old.key = latest.key and old."offset" < latest.newest
    and old.time_ms < (extract(epoch from clock_timestamp()) * 1000)::bigint - $2

-- name: vacuum_segment
vacuum (skip_locked) {segment}

-- name: drop_segment
drop table if exists {segment}

-- name: forget_segment
delete from log.segment where stream_id = $1 and segment = $2

-- name: lock_group
select pg_advisory_xact_lock(hashtextextended('twzrd log group ' || $1::text || ' ' || $2::text, 0))

-- name: join_group
insert into log.member (consumer_group, stream_id, worker, at_most, expires_at)
values ($1, $2, $3, $4, clock_timestamp() + $5::integer * interval '1 millisecond')
on conflict (consumer_group, stream_id, worker)
do update set at_most = excluded.at_most, expires_at = excluded.expires_at

-- name: drop_dead_members
delete from log.member where consumer_group = $1 and stream_id = $2 and expires_at < clock_timestamp()

-- name: leave_group
delete from log.member where consumer_group = $1 and stream_id = $2 and worker = $3

-- name: members
select worker, at_most from log.member where consumer_group = $1 and stream_id = $2 order by worker

-- name: add_leases
insert into log.lease (consumer_group, stream_id, partition)
select $1, $2, partition from log.head where stream_id = $2
on conflict do nothing

-- name: leases
select partition, worker, generation, coalesce(expires_at < clock_timestamp(), true) as free
from log.lease where consumer_group = $1 and stream_id = $2 order by partition

-- name: renew_leases
update log.lease set expires_at = clock_timestamp() + $5::integer * interval '1 millisecond'
where consumer_group = $1 and stream_id = $2 and worker = $3 and partition = any($4::integer[])

-- name: take_leases
update log.lease
set worker = $3, generation = generation + 1,
    expires_at = clock_timestamp() + $5::integer * interval '1 millisecond'
where consumer_group = $1 and stream_id = $2 and partition = any($4::integer[])
returning partition, generation

-- name: give_lease
update log.lease set worker = null, expires_at = null
where consumer_group = $1 and stream_id = $2 and partition = $3 and worker = $4 and generation = $5

-- name: hold_lease
-- Whoever takes the lease over waits for this transaction's end, and this one for theirs.
select 1 from log.lease
where consumer_group = $1 and stream_id = $2 and partition = $3 and worker = $4 and generation = $5
for share
