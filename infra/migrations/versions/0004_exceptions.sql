-- Exceptions as business objects: keys, money, owners, deadlines, history, sequence gaps.
select 1;
