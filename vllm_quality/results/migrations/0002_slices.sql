-- Which items belong together: `cluster` is the passage they share, `slices` are parts of a suite such as "language=ko".

ALTER TABLE samples ADD COLUMN IF NOT EXISTS cluster String;
ALTER TABLE samples ADD COLUMN IF NOT EXISTS slices Array(String);
