"""Fail if a test was skipped for want of PyTorch: ``no_skipped_oracle.py REPORT.xml``.

On a developer's machine the comparisons with PyTorch may be skipped; where a change is accepted
they may not. pytest's JUnit report says what was skipped and why, however the test did it.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET


def skipped_for_torch(report: str) -> list[str]:
    """The tests in a JUnit report that were skipped with a reason that mentions torch."""
    skipped = []
    for case in ET.parse(report).iter("testcase"):
        for skip in case.iter("skipped"):
            if "torch" in f"{skip.get('message')} {skip.text}".lower():
                skipped.append(f"{case.get('classname')}::{case.get('name')}")
    return skipped


if __name__ == "__main__":
    missed = skipped_for_torch(sys.argv[1])
    if missed:
        sys.exit("skipped for want of PyTorch:\n  " + "\n  ".join(missed))
