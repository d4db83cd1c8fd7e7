"""The preflight as far as it needs the configuration, certificates or what only the daemon knows.

Judgements are pure (:mod:`.devices`) or look at files that they are given (:mod:`.trust`); :mod:`.checks` puts them in
order with those of :mod:`v2g.host.preflight`, whose docstring has the table of all checks.
"""

from __future__ import annotations
