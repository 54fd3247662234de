#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every accepted trace is decided again, and must come out as it was accepted.

  NAME.kvrt  what was recorded      NAME.txt  the same for people: the diff of it is the change

When deciders decide otherwise on purpose, --bless plays the scenes again and accepts them; the
change of the texts is then what a reviewer looks at.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
KIB_MAX = 40


def call(*args):
    return subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=100, check=False)


def must(*args):
    done = call(*args)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def bless(command, scenes):
    with tempfile.TemporaryDirectory(prefix="kvr-scenes-") as played:
        must(scenes, played)
        for path in sorted(Path(played).glob("*.kvrt")):
            must(command, "trace", "bless", path, "-o", HERE / path.name)
            print(f"accepted {path.stem}")


def differences(command, path):
    """What is wrong with an accepted trace, in words; "" when nothing is."""
    done = call(command, "trace", "replay", path)
    if done.returncode != 0:
        return done.stdout + done.stderr
    if call(command, "trace", "check", path).returncode != 0:
        return must(command, "trace", "check", path)
    with tempfile.TemporaryDirectory(prefix="kvr-again-") as tmp:
        must(command, "trace", "bless", path, "-o", Path(tmp) / path.name)
        if (Path(tmp) / path.name).with_suffix(".txt").read_text() != path.with_suffix(".txt").read_text():
            return f"{path.with_suffix('.txt').name} does not say what {path.name} does\n"
    if path.stat().st_size > KIB_MAX * 1024:
        return f"{path.stat().st_size} bytes: a trace that is kept is small\n"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--command", required=True, help="kvrelay")
    parser.add_argument("--scenes", required=True, help="kvrelay_scenes")
    parser.add_argument("--bless", action="store_true", help="play the scenes again and accept what happens")
    args = parser.parse_args()
    if args.bless:
        bless(args.command, args.scenes)
    bad = 0
    paths = sorted(HERE.glob("*.kvrt"))
    for path in paths:
        said = differences(args.command, path)
        if said:
            print(f"{path.name}: {said}")
            bad += 1
    print(f"{len(paths) - bad} of {len(paths)} accepted traces are decided the same today")
    if bad:
        print(f"when that is as it should be: {sys.executable} {Path(__file__).resolve()} "
              f"--command {args.command} --scenes {args.scenes} --bless")
    return 1 if bad or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
