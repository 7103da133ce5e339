-- The assertion of the sign-in, as the browser sent it, and the challenge it
-- answers: evidence that can be checked again years later. Null for sessions
-- from before.
alter table session add column assertion jsonb, add column challenge text;
