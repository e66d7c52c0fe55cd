-- Repairs of what several systems hold, and the retention of bodies.
select 1;
