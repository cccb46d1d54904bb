#!/usr/bin/env bash
# Run once, as root, when the image is built: Python, what the grader needs, who may read what.
# An environment that is already in /autograder/environment is kept, and pip's own settings
# (PIP_INDEX_URL, PIP_NO_INDEX, PIP_FIND_LINKS, ...) are obeyed.
set -euo pipefail
source=/autograder/source
environment=/autograder/environment
cd "$source"

newest_python() {
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        if "$name" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

if [ ! -x "$environment/bin/python" ]; then
    if ! python=$(newest_python); then
        apt-get update
        apt-get install -y --no-install-recommends python3.11 python3.11-venv
        python=$(newest_python)
    fi
    "$python" -m venv "$environment"
fi
pip() { "$environment/bin/python" -m pip install --disable-pip-version-check --no-cache-dir "$@"; }

# With the index of torch's CPU builds in PIP_EXTRA_INDEX_URL, torch comes without GPU libraries.
pip --constraint constraints.txt --editable .

# Student code runs as users of their own: they may read the library and nothing of what grades.
chmod go-w /autograder
chmod o+x /autograder
chmod -R a+rX,go-w "$source"
for hidden in autograder/graders solutions course.yaml secret.key; do
    if [ -e "$hidden" ]; then chmod -R go-rwx "$hidden"; fi
done
chmod a+rX autograder/graders
chmod -R a+rX autograder/graders/toolkit
chmod a+r autograder/graders/__init__.py
