"""Who signs our certificate: the server that the configuration names."""

from __future__ import annotations

from pathlib import Path

from v2g.config.schema import Config
from v2g.config.schema_pki import EnrolmentProtocol
from v2g.pki.model import Enroller


def enroller_for(config: Config, ca_bundle: Path) -> Enroller | None:
    """The configured server, None without one. Its TLS is verified by ``ca_bundle`` unless it has roots of its own.

    Raises :class:`v2g.pki.model.PkiError`.
    """
    settings = config.pki.enrolment
    if settings is None:
        return None
    server_ca = Path(settings.server_ca) if settings.server_ca else ca_bundle
    if settings.protocol is EnrolmentProtocol.EST:
        from v2g.pki.enrol_est import EstEnroller

        return EstEnroller(settings, server_ca)
    from v2g.pki.enrol_cmp import CmpEnroller

    return CmpEnroller(settings, server_ca, token=config.pki.token)
