# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by .ci/run: runs stages, times and counts them, and gives the sum. Nothing here may turn
# a stage that went wrong into one that went well; tests/packaging/test_ci.py tries.
logs=$PWD/build/ci
rm -rf "$logs"
mkdir -p "$logs"
passed=0 failed=0 skipped=0
budget_sum=0 used_sum=0
table=()

# stage NAME BUDGET_S COMMAND...
# The command appends "passed failed not-run" to $COUNTS. One that ends badly without having
# counted a failure, or well without having counted anything, is itself one failure.
stage() {
	local name=$1 budget=$2 status=0 begin=$SECONDS p f s sum_p=0 sum_f=0 sum_s=0
	shift 2
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
	local verdict="$sum_p passed, $sum_f failed, $sum_s not run" used=$((SECONDS - begin))
	if [ $sum_f -ne 0 ]; then
		echo "-- the end of build/ci/$name.log (exit $status):"
		tail -n 150 "$logs/$name.log"
	fi
	if [ $used -gt "$budget" ]; then
		verdict="$verdict, over budget"
	fi
	echo "-- $name: $used s of $budget s: $verdict"
	table+=("$(printf '%-10s %5d s of %5d s  %s' "$name" $used "$budget" "$verdict")")
	passed=$((passed + sum_p)) failed=$((failed + sum_f)) skipped=$((skipped + sum_s))
	budget_sum=$((budget_sum + budget)) used_sum=$((used_sum + used))
}

# The last words of a run; its status is the run's.
sum_up() {
	echo
	printf '%s\n' "${table[@]}"
	printf '%-10s %5d s of %5d s\n\n' sum $used_sum $budget_sum
	if [ $skipped -ne 0 ]; then
		echo "$skipped tests were not run: a stage above names them"
	fi
	echo "$passed passed, $failed failed"
	[ $failed -eq 0 ]
}
