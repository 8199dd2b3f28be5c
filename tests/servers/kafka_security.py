"""The secured listeners of a test cluster (TLS, SASL): broker properties, client settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.certificates import CertificateAuthority, KeyPair

SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True)
class KafkaSecurity:
    """Certificates and the user of a secured cluster.

    Its brokers have, besides a plain listener, `SSL`, `MUTUAL_TLS` (a client certificate is
    required), `SASL_PLAINTEXT` and `SASL_SSL`. Access control lists work; a resource without one
    is open to everybody, and the plain listener's user may do anything.
    """

    authority: CertificateAuthority
    server: KeyPair
    client: KeyPair
    user: str = "newsroom"
    password: str = field(default="correct-horse-battery", repr=False)

    @classmethod
    def create(cls, folder: Path) -> KafkaSecurity:
        """Make new certificates in `folder`."""
        authority = CertificateAuthority(folder)
        return cls(authority, authority.issue("broker"), authority.issue("client"))

    @property
    def listeners(self) -> dict[str, str]:
        """Listener names and the security protocols that they speak."""
        return {
            "SSL": "SSL",
            "MUTUAL_TLS": "SSL",
            "SASL_PLAINTEXT": "SASL_PLAINTEXT",
            "SASL_SSL": "SASL_SSL",
        }

    def broker_properties(self, folder: Path) -> dict[str, str]:
        """Properties of a broker; its key store is written into `folder`."""
        login = "org.apache.kafka.common.security"
        properties = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.server.write_combined(folder / "keystore.pem")),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.certificate),
            "listener.name.mutual_tls.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": ",".join(SASL_MECHANISMS),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "super.users": "User:ANONYMOUS",
        }
        for listener in ("sasl_plaintext", "sasl_ssl"):
            prefix = f"listener.name.{listener}"
            properties[f"{prefix}.plain.sasl.jaas.config"] = (
                f'{login}.plain.PlainLoginModule required user_{self.user}="{self.password}";'
            )
            for mechanism in SASL_MECHANISMS[1:]:
                properties[f"{prefix}.{mechanism.lower()}.sasl.jaas.config"] = (
                    f"{login}.scram.ScramLoginModule required;"
                )
        return properties

    def format_arguments(self) -> list[str]:
        """Arguments of `kafka-storage format` that create the user for the SCRAM mechanisms."""
        return [
            argument
            for mechanism in SASL_MECHANISMS[1:]
            for argument in (
                "--add-scram",
                f"{mechanism}=[name={self.user},password={self.password}]",
            )
        ]

    def client_settings(
        self, mechanism: str | None, *, tls: bool, client_certificate: bool
    ) -> tuple[str, dict[str, Any]]:
        """The listener to connect to, and kafka-python's settings for it."""
        settings: dict[str, Any] = {}
        if tls:
            settings["ssl_cafile"] = str(self.authority.certificate)
        if client_certificate:
            settings["ssl_certfile"] = str(self.client.certificate)
            settings["ssl_keyfile"] = str(self.client.key)
        if mechanism is None:
            settings["security_protocol"] = "SSL"
            return ("MUTUAL_TLS" if client_certificate else "SSL"), settings
        if mechanism not in SASL_MECHANISMS:
            raise ValueError(f"mechanism {mechanism!r} is none of {', '.join(SASL_MECHANISMS)}")
        protocol = "SASL_SSL" if tls else "SASL_PLAINTEXT"
        settings |= {
            "security_protocol": protocol,
            "sasl_mechanism": mechanism,
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.password,
        }
        return protocol, settings
