-- The five tables. The last row written for a key wins, so replaying an insert changes nothing: read them with FINAL.
--
-- The sorting key of each is exactly the identity of its rows. There are no partitions on purpose: rows of one key in two
-- partitions are never merged, and a run can cross midnight. run_id comes first because almost every read is about runs.

CREATE TABLE IF NOT EXISTS results
(
    run_id String,
    model_tag LowCardinality(String),
    metric LowCardinality(String),
    value Float64,
    ts DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (run_id, metric);

CREATE TABLE IF NOT EXISTS runs
(
    run_id String,
    model_tag LowCardinality(String),
    image_digest String,
    snapshot_hash String,
    suite_hash String,
    engine LowCardinality(String),
    engine_version LowCardinality(String),
    model LowCardinality(String),
    hardware LowCardinality(String),
    settings_hash String,
    step_hashes Map(String, String),
    profile LowCardinality(String),
    seen_at Nullable(DateTime64(3, 'UTC')),
    started_at DateTime64(3, 'UTC'),
    finished_at Nullable(DateTime64(3, 'UTC')),
    verdict LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY run_id;

CREATE TABLE IF NOT EXISTS samples
(
    run_id String,
    model_tag LowCardinality(String),
    suite LowCardinality(String),
    item_hash String,
    prompt_hash String,
    metric LowCardinality(String),
    score Nullable(Float64),
    status LowCardinality(String),
    finish_reason LowCardinality(String),
    prompt_tokens Nullable(UInt32),
    output_tokens Nullable(UInt32),
    judge LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY (run_id, suite, item_hash, metric);

CREATE TABLE IF NOT EXISTS requests
(
    run_id String,
    model_tag LowCardinality(String),
    scenario LowCardinality(String),
    stage LowCardinality(String),
    request_index UInt32,
    due_s Nullable(Float64),
    sent_s Nullable(Float64),
    headers_s Nullable(Float64),
    first_token_s Nullable(Float64),
    last_token_s Nullable(Float64),
    end_s Nullable(Float64),
    prompt_tokens Nullable(UInt32),
    output_tokens Nullable(UInt32),
    outcome LowCardinality(String),
    http_status Nullable(UInt16),
    error String,
    item String
)
ENGINE = ReplacingMergeTree
ORDER BY (run_id, scenario, stage, request_index);

CREATE TABLE IF NOT EXISTS alerts
(
    run_id String,
    model_tag LowCardinality(String),
    kind LowCardinality(String),
    sent_at DateTime64(3, 'UTC'),
    channel LowCardinality(String),
    detail String
)
ENGINE = ReplacingMergeTree
ORDER BY (run_id, kind);
