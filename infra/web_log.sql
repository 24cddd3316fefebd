-- The log on Postgres as role twzrd_web sees it.

-- name: say_opt_out
select claims.say_opt_out($1, $2);

-- name: spans
select s.name, h.partition, h.first_offset, h.next_offset from log.head h join log.stream s on s.id = h.stream_id;

-- name: whoami
select current_user::text as role,
       has_table_privilege('claims.switches', 'update')
       or has_table_privilege('claims.signer_claims', 'insert')
       or has_table_privilege('viewer_epochs', 'insert, update, delete') as too_much;
