"""The options that Beam's job server for Flink knows, and Beam's Python classes do not.

The job server tells them itself, once it runs: too late for a misspelt one, which Beam would pass over
in silence. These are those of Beam 2.70 to 2.77 (`DescribePipelineOptions`).
"""

from __future__ import annotations

#: Options that are given as a bare flag.
SWITCHES = frozenset(
    {
        "allow_non_restored_state",
        "auto_balance_write_files_sharding_enabled",
        "disable_metrics",
        "enable_heap_dumps",
        "enable_stable_input_drain",
        "externalized_checkpoints_enabled",
        "faster_copy",
        "finish_bundle_before_checkpointing",
        "force_unaligned_checkpoint_enabled",
        "load_balance_bundles",
        "object_reuse",
        "re_iterable_group_by_key_result",
        "retain_docker_containers",
        "retain_externalized_checkpoints_on_cancellation",
        "unaligned_checkpoint_enabled",
        "use_data_stream_for_batch",
        # These are on, and switched off by being given.
        "attached_mode",
        "fail_on_checkpointing_errors",
        "force_slot_sharing_group",
        "operator_chaining",
    }
)
#: Options that take a whole number.
NUMBERS = frozenset(
    {
        "auto_watermark_interval",
        "checkpoint_timeout_millis",
        "checkpointing_interval",
        "element_processing_timeout_minutes",
        "environment_expiration_millis",
        "execution_retry_delay",
        "file_input_split_max_size_m_b",
        "grouping_table_max_size_mb",
        "job_check_interval_in_secs",
        "latency_tracking_interval",
        "max_bundle_size",
        "max_bundle_time_mills",
        "min_pause_between_checkpoints",
        "num_concurrent_checkpoints",
        "number_of_execution_retries",
        "shutdown_sources_after_idle_ms",
    }
)
#: Options that take anything else.
WORDS = frozenset(
    {
        "checkpointing_mode",
        "default_environment_config",
        "default_environment_type",
        "default_sdk_harness_log_level",
        "execution_mode_for_batch",
        "files_to_stage",
        "flink_conf_dir",
        "report_checkpoint_duration",
        "savepoint_path",
        "sdk_harness_log_level_overrides",
        "semi_persist_dir",
        "stable_unique_names",
        "state_backend",
        "state_backend_factory",
        "state_backend_storage_path",
    }
)
KNOWN = SWITCHES | NUMBERS | WORDS
