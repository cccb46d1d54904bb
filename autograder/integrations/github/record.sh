#!/usr/bin/env bash
# Commits new records in scores/ and the leaderboard that follows from all of them, and pushes:
# record.sh BRANCH MESSAGE. Another run may push first, so each attempt starts from the branch as
# it is. PAUSE: seconds between attempts.
set -euo pipefail
branch=$1 message=$2

for attempt in 1 2 3 4 5 6; do
    git fetch --quiet --no-tags origin "$branch"
    git reset --quiet --hard FETCH_HEAD # records that nobody has committed yet stay
    autograder leaderboard scores --output leaderboard || test $? -eq 2
    git add --all scores leaderboard 2>/dev/null || true
    git diff --cached --quiet && exit 0
    git -c user.name="course scorer" -c user.email="scorer@users.noreply.github.com" \
        commit --quiet --message "$message"
    git push --quiet origin "HEAD:$branch" && exit 0
    git reset --quiet HEAD~1 # nobody's again, so that the next attempt does not reset it away
    sleep "${PAUSE:-$((attempt * 5))}"
done
echo "the record could not be pushed" >&2
exit 1
