-- Sequence numbers of sources: what came, and what is missing.
select 1;
