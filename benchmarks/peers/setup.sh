#!/usr/bin/env bash
# Virtual environments of the peers, each with the versions that the results name: setup.sh DIRECTORY
# About 6 GB. torch comes first, so that no peer chooses a build of its own.
set -euo pipefail
where=${1:?"give a directory"}
make() {
    local name=$1
    shift
    [ -x "$where/$name/bin/python" ] || "${PYTHON:-python3}" -m venv "$where/$name"
    "$where/$name/bin/python" -m pip install --quiet "${TORCH:-torch==2.13.0}"
    "$where/$name/bin/python" -m pip install --quiet "$@"
}
mkdir -p "$where"
make llmrouter llmrouter-lib==0.4.0
make routellm "routellm[serve]==0.2.0"
make paretobandit paretobandit==0.1.1
[ -x "$where/suffice/bin/python" ] || "${PYTHON:-python3}" -m venv "$where/suffice"
"$where/suffice/bin/python" -m pip install --quiet "$(dirname "$0")/../.."
