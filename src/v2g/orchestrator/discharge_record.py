"""The latest discharge test of each EVSE: ``<state_dir>/discharge-tests.json``, and whose discharge it refuses."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec

from v2g.control.messages_discharge import DischargeTestRecord
from v2g.host.files import replace_file, sync_file
from v2g.orchestrator.discharge_test import efficiency_problem

FILE = "discharge-tests.json"
_MAX_FILE_BYTES = 4 << 20


class DischargeTests:
    """The file's content. Without a record nothing is refused; a file that cannot be read refuses every EVSE."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.testing = ""
        """The EVSE that is being tested: a test has to discharge what an earlier one refused."""
        self._problem = ""
        self._records: dict[str, DischargeTestRecord] = {}
        try:
            with path.open("rb") as file:
                found = msgspec.json.decode(file.read(_MAX_FILE_BYTES), type=dict[str, DischargeTestRecord])
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._problem = f"{path} cannot be read ({error}): repair it, or remove it, restart and test again"
        else:
            self._records = found

    def get(self, evse_id: str) -> DischargeTestRecord | None:
        return self._records.get(evse_id)

    def refusal(self, evse_id: str, accept_low: bool) -> str:
        """Why this EVSE may not discharge, in words; empty: for all that is known here, it may."""
        if evse_id == self.testing:
            return ""
        if self._problem:
            return self._problem
        record = self._records.get(evse_id)
        problem = "" if record is None or accept_low else efficiency_problem(record.efficiency)
        if not problem:
            return ""
        return (
            f"its discharge test {problem}: repair the inverter or its measurement and pass v2g-tool test-discharge, "
            "or set inverter.accept_low_efficiency"
        )

    def put(self, record: DischargeTestRecord) -> None:
        """In force when this returns or raises ``OSError``, which says that a restart would forget it. Blocks.

        A file that cannot be read is not written over: whom it refuses would be forgotten. So would an efficiency that
        refuses, by a test that is not passed and measured no low one: it stays, and a remark says so.
        """
        before = self._records.get(record.evse_id)
        refuses = before is not None and efficiency_problem(before.efficiency)
        if before is not None and refuses and not record.passed and not efficiency_problem(record.efficiency):
            remark = f"not passed: the efficiency of the test of {before.at} holds"
            remarks = (*record.remarks, remark)
            record = msgspec.structs.replace(record, efficiency=before.efficiency, remarks=remarks)
        self._records = {**self._records, record.evse_id: record}
        if self._problem:
            raise OSError(errno.EEXIST, "holds what cannot be read")
        replace_file(self.path, msgspec.json.encode(self._records) + b"\n")
        sync_file(self.path)
