-- name: audit
insert into claims.audit_log (actor, action, subject, detail) values ($1, $2, $3, $4::text::jsonb);
