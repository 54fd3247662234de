# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by .ci/run: runs stages, times and counts them, and gives the sum. Nothing here may turn
# a stage that went wrong into one that went well; tests/packaging/test_ci.py tries.
logs=$PWD/build/ci
rm -rf "$logs"
mkdir -p "$logs"
passed=0 failed=0 skipped=0
budget_sum=0 used_sum=0 cpu_sum=0
table=()

# Seconds of processor that all commands so far took, in $cpu: what a stage costs also where others
# use the machine. Not in a subshell, which would speak of its own children.
cpu_now() {
	local user system
	times >"$logs/times"
	{ read -r _; read -r user system; } <"$logs/times"
	cpu=$(awk -F'[ms ]+' '{ printf "%d", 60 * ($1 + $3) + $2 + $4 }' <<<"$user $system")
}

# stage NAME BUDGET_S COMMAND...
# The command appends "passed failed not-run" to $COUNTS. One that ends badly without having
# counted a failure, or well without having counted anything, is itself one failure.
stage() {
	local name=$1 budget=$2 status=0 begin=$SECONDS p f s sum_p=0 sum_f=0 sum_s=0
	shift 2
	cpu_now
	local cpu_before=$cpu
	export COUNTS=$logs/$name.counts
	: >"$COUNTS"
	echo "== $name (budget $budget s)"
	# Three times the budget is a hang, not a slow machine.
	timeout --kill-after=10 $((3 * budget)) "$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
	while read -r p f s; do
		sum_p=$((sum_p + p)) sum_f=$((sum_f + f)) sum_s=$((sum_s + s))
	done <"$COUNTS"
	if [ $status -ne 0 ] && [ $sum_f -eq 0 ]; then
		sum_f=1
	elif [ $status -eq 0 ] && [ $((sum_p + sum_f)) -eq 0 ]; then
		echo "$name counted nothing" | tee -a "$logs/$name.log"
		sum_f=1
	fi
	grep -E '^(tests:|  not run:)' "$logs/$name.log"
	cpu_now
	local verdict="$sum_p passed, $sum_f failed, $sum_s not run" used=$((SECONDS - begin))
	local cpu_used=$((cpu - cpu_before))
	if [ $sum_f -ne 0 ]; then
		echo "-- the end of build/ci/$name.log (exit $status):"
		tail -n 150 "$logs/$name.log"
	fi
	if [ $used -gt "$budget" ]; then
		verdict="$verdict, over budget"
	fi
	echo "-- $name: $used s of $budget s, $cpu_used s of processor: $verdict"
	table+=("$(printf '%-10s %5d s of %5d s %6d s of processor  %s' \
		"$name" $used "$budget" $cpu_used "$verdict")")
	passed=$((passed + sum_p)) failed=$((failed + sum_f)) skipped=$((skipped + sum_s))
	budget_sum=$((budget_sum + budget)) used_sum=$((used_sum + used)) cpu_sum=$((cpu_sum + cpu_used))
}

# The last words of a run; its status is the run's.
sum_up() {
	echo
	printf '%s\n' "${table[@]}"
	printf '%-10s %5d s of %5d s %6d s of processor\n\n' sum $used_sum $budget_sum $cpu_sum
	if [ $skipped -ne 0 ]; then
		echo "$skipped tests were not run: a stage above names them"
	fi
	echo "$passed passed, $failed failed"
	[ $failed -eq 0 ]
}
