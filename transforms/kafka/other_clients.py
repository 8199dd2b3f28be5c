"""Settings of Java's and librdkafka's clients that mean nothing here, and their stores of certificates.

A client file is often shared with such clients. What is only for them is passed over; a name that nobody
knows stays an error, since it may be one of ours, misspelt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from transforms.errors import ConfigurationError

#: Families: whatever begins so. Of schema registries, of metrics, of logins by callback.
_FAMILIES = (
    "auto_register_schemas", "avro_", "basic_auth_", "bearer_auth_", "confluent_", "interceptor_",
    "json_", "key_converter", "key_subject_", "latest_", "metrics_", "protobuf_", "reflection_",
    "sasl_kerberos_", "sasl_login_", "sasl_oauthbearer_", "schema_registry_", "schemas_",
    "specific_", "ssl_keystore_", "ssl_truststore_", "statistics_", "topic_metadata_refresh_",
    "use_latest_", "value_converter", "value_subject_",
)  # fmt: skip
_JAVA = """
buffer_memory compression_gzip_level compression_lz4_level compression_zstd_level
config_providers connections_setup_timeout default_api_timeout_ms enable_metrics_push
group_protocol group_remote_assignor interceptor_classes internal_leave_group_on_close
metadata_max_idle_ms metadata_recovery_rebootstrap_trigger_ms metadata_recovery_strategy
partitioner_adaptive_partitioning_enable partitioner_availability_timeout_ms
partitioner_class partitioner_ignore_keys retry_backoff_max_ms
sasl_client_callback_handler_class sasl_server_callback_handler_class security_providers
socket_connection_setup_timeout_max_ms socket_connection_setup_timeout_ms ssl_cipher_suites
ssl_enabled_protocols ssl_engine_factory_class ssl_keymanager_algorithm ssl_protocol
ssl_provider ssl_secure_random_implementation ssl_trustmanager_algorithm
transaction_two_phase_commit_enable
"""
#: librdkafka and its bindings.
_LIBRDKAFKA = """
api_version_fallback_ms api_version_request api_version_request_timeout_ms
auto_commit_enable background_event_cb batch_num_messages broker_address_family
broker_address_ttl broker_version_fallback client_software_name client_software_version
compression_level consume_callback_max_messages coordinator_query_interval_ms debug
delivery_report_only_error dr_cb dr_msg_cb enable_auto_offset_store enable_gapless_guarantee
enable_partition_eof enable_random_seed enable_sasl_oauthbearer_unsecure_jwt
enable_ssl_certificate_verification error_cb fetch_error_backoff_ms fetch_message_max_bytes
fetch_queue_backoff_ms fetch_wait_max_ms group_protocol_type log_cb log_connection_close
log_level log_thread_name max_in_flight message_copy_max_bytes message_max_bytes
message_send_max_retries message_timeout_ms msg_order_cmp oauthbearer_token_refresh_cb
offset_commit_cb offset_store_method offset_store_path offset_store_sync_interval_ms
plugin_library_paths produce_offset_report queue_buffering_backpressure_threshold
queue_buffering_max_kbytes queue_buffering_max_messages queue_buffering_max_ms
queued_max_messages_kbytes queued_min_messages queuing_strategy rebalance_cb
sasl_kerberos_keytab socket_blocking_max_ms socket_connection_setup_timeout_ms
socket_keepalive_enable socket_max_fails socket_nagle_disable socket_receive_buffer_bytes
socket_send_buffer_bytes socket_timeout_ms ssl_ca ssl_ca_certificate_stores ssl_ca_pem
ssl_certificate ssl_certificate_pem ssl_certificate_verify_cb ssl_curves_list ssl_engine_id
ssl_engine_location ssl_key ssl_key_pem ssl_providers ssl_sigalgs_list stats_cb
sticky_partitioning_linger_ms throttle_cb topic_blacklist
"""
_NAMES = frozenset((_JAVA + _LIBRDKAFKA).split())
_PEM_FILE = re.compile(r"\.(pem|crt|cer)$", re.IGNORECASE)
_CAFILE = "ssl_cafile"
_CERTFILE, _KEYFILE = "ssl_certfile", "ssl_keyfile"


def is_for_others(name: str) -> bool:
    """Whether a name, with underscores, is a setting of another client only."""
    return name in _NAMES or name.startswith(_FAMILIES)


class PemStores:
    """The certificates of a client file, which Java names otherwise.

    Args:
        settings: The settings of the file, by the names in it.

    Attributes:
        settings: The same; stores that are PEM files have kafka-python's names.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)
        #: What can't be read, by the setting of kafka-python that would have to be given instead.
        self._unread: dict[str, str] = {}
        by_name = {name.lower().replace(".", "_"): name for name in settings}

        def value(name: str) -> str:
            return settings[by_name[name]] if name in by_name else ""

        for store, files in (("truststore", [_CAFILE]), ("keystore", [_CERTFILE, _KEYFILE])):
            location, kind = value(f"ssl_{store}_location"), value(f"ssl_{store}_type").upper()
            if kind == "PEM" or (not kind and _PEM_FILE.search(location)):
                for file in files if location else ():
                    self.settings = {file: location} | self.settings
                    self.settings.pop(by_name[f"ssl_{store}_location"], None)
            elif location:
                self._unread[files[0]] = by_name[f"ssl_{store}_location"]
        for name, file in (
            ("ssl_truststore_certificates", _CAFILE),
            ("ssl_ca_pem", _CAFILE),
            ("ssl_keystore_certificate_chain", _CERTFILE),
            ("ssl_certificate_pem", _CERTFILE),
        ):
            if value(name):
                self._unread[file] = by_name[name]

    def check(self, config: Mapping[str, Any], origin: str) -> None:
        """Refuses a store that can't be read, where it is needed.

        Args:
            config: All settings, by kafka-python's names.
            origin: The file.

        Raises:
            ConfigurationError: It is needed.
        """
        protocols = [str(v) for k, v in config.items() if k.endswith("security_protocol")]
        if not any("SSL" in protocol for protocol in protocols):
            return
        for file, name in self._unread.items():
            if file not in config:
                what = f"{_CERTFILE} and {_KEYFILE}" if file == _CERTFILE else file
                raise ConfigurationError(
                    f"{name} in {origin}: certificates are read from PEM files only: export it "
                    f"(keytool -importkeystore … -deststoretype PKCS12, openssl pkcs12) and give {what}"
                )
