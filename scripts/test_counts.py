#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a report of ctest says: how many tests passed, failed and were not run, and which.

  scripts/test_counts.py REPORT.xml [COUNTS]

COUNTS gets a line "passed failed not-run" appended. Exits 1 when a test failed or none ran.
"""

import sys
import xml.etree.ElementTree as xml


def verdict_of(case):
    """A test is not run when it said so itself (exit 77) or is switched off. One whose program
    could not be started has the same status in the report, and has failed."""
    status = case.get("status")
    if status == "run":
        return "passed"
    if status == "disabled":
        return "not run"
    skipped = case.find("skipped")
    if skipped is not None and skipped.get("message", "").startswith("SKIP_"):
        return "not run"
    return "failed"


def last_words(case):
    lines = [line.strip() for line in (case.findtext("system-out") or "").split("\n")]
    lines = [line for line in lines if line]
    return lines[-1] if lines else "no output"


def main():
    names = {"passed": [], "failed": [], "not run": []}
    for case in xml.parse(sys.argv[1]).getroot().iter("testcase"):
        names[verdict_of(case)].append(case)
    for verdict in ("not run", "failed"):
        for case in names[verdict]:
            print(f"  {verdict}: {case.get('name')}: {last_words(case)}")
    counts = [len(cases) for cases in names.values()]
    print("tests: {} passed, {} failed, {} not run".format(*counts))
    if len(sys.argv) > 2:
        with open(sys.argv[2], "a", encoding="utf-8") as f:
            f.write("{} {} {}\n".format(*counts))
    if counts[0] + counts[1] == 0:
        print("tests: none ran")
    return 1 if counts[1] or not counts[0] else 0


if __name__ == "__main__":
    sys.exit(main())
