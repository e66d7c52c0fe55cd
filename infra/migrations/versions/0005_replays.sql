-- Replays as objects: what they hold, how far they are, who may stop them.
select 1;
