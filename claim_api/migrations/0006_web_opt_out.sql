-- What the web process may do with the log on Postgres: say one viewer's opt-out, and see how long each stream is. It
-- cannot append anything else: whoever took it over could write chat, and be paid for it.
create function claims.say_opt_out(record_key bytea, record bytea) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    head record;
begin
    -- A record of `control` is a MessagePack array whose first member is its tag (schemas/control.py).
    if record_key !~~ 'suppressed|twitch:id:%'::bytea or octet_length(record_key) > 64
       or octet_length(record) > 1024 or substr(record, 2, 7) <> '\xa66f70746f7574'::bytea then
        raise insufficient_privilege using message = 'only the opt-out of one viewer by their id may be said here';
    end if;
    update log.head h set next_offset = h.next_offset + 1
      from log.stream s
     where s.name = 'control' and h.stream_id = s.id and h.partition = 0
    returning h.stream_id, h.next_offset - 1 as "offset", h.segment into head;
    if not found then
        raise undefined_table using message = 'the log has no stream control yet; start a collector or a worker once';
    end if;
    execute format('insert into log.record_%s_%s values (0, $1, $2, $3, $4)', head.stream_id, head.segment)
      using head."offset", (extract(epoch from clock_timestamp()) * 1000)::bigint, record_key, record;
    perform pg_notify('twzrd_log', 'web/' || head.stream_id || ':0');
    return head."offset";
end $$;
revoke execute on function claims.say_opt_out from public;
grant execute on function claims.say_opt_out to twzrd_web;

grant usage on schema log to twzrd_web;
grant select on log.stream, log.head to twzrd_web;
