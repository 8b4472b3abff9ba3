"""Records in other people's packages: how they are found, and what is asked of them. See docs/plugins.md."""

from pellucid.plugins.entry_points import (
    GROUPS,
    Group,
    Origin,
    Problem,
    Unusable,
    identity_of,
    leave_out,
    origin_of,
    origins,
    problems,
    records_of,
)
from pellucid.plugins.records import check_record, with_checked_result

__all__ = [
    "GROUPS",
    "Group",
    "Origin",
    "Problem",
    "Unusable",
    "check_record",
    "identity_of",
    "leave_out",
    "origin_of",
    "origins",
    "problems",
    "records_of",
    "with_checked_result",
]
