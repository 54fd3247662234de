#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same seeds in two builds, of two compilers say, must take the same decisions to the last bit:
#   tests/determinism.sh BUILD BUILD [SEEDS]
# Each program prints one digest over all that its seeds did. Exit 1 when two differ.
set -euo pipefail

if [ $# -lt 2 ]; then
	echo "usage: tests/determinism.sh BUILD BUILD [SEEDS]" >&2
	exit 2
fi
one=$1 other=$2 seeds=${3:-500}
status=0
first=$(mktemp)
trap 'rm -f "$first"' EXIT

# Without a fork for each case: its time limit is for a few hundred seeds.
digest_of() {
	if [[ $1 == */kvrelay_swarm ]]; then
		"$1" --seeds "1..$seeds" --traces "$(dirname "$1")"
	else
		CK_FORK=no KVR_SEEDS=$seeds "$1"
	fi | grep -E "^[a-z.]+: ($seeds seeds|seeds 1[.][.]$seeds), digest [0-9a-f]{16}\$"
}

programs=(tests/actors/test_actors_router tests/actors/test_actors_swarm tests/swarm/kvrelay_swarm)
for program in "${programs[@]}"; do
	for build in "$one" "$other"; do
		if [ ! -x "$build/$program" ]; then
			echo "determinism: $build/$program was not built" >&2
			exit 2
		fi
	done
	# Side by side; neither may end the script before the other has.
	good=yes
	digest_of "$one/$program" >"$first" &
	b=$(digest_of "$other/$program") || good=no
	wait $! || good=no
	a=$(cat "$first")
	if [ $good = no ]; then
		echo "determinism: $program failed, or printed no digest, for $seeds seeds" >&2
		status=1
	elif [ "$a" = "$b" ]; then
		echo "same: $a"
	else
		printf 'differs: %s\n  %s  in %s\n  %s  in %s\n' "$program" "$a" "$one" "$b" "$other" >&2
		status=1
	fi
done
exit $status
