#!/usr/bin/env bash
# Writes requirements/*.lock: exact versions, with the hashes of every file the index has for them, so that one lock
# serves x86-64 and aarch64. Run with the oldest Python supported: what it needs includes what newer ones need.
#   lock.sh             keep the versions that still fit      lock.sh --upgrade   take the newest
set -euo pipefail
cd -P "$(dirname "$0")/.."

compile() {
  .venv/bin/python -m piptools compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
    --annotation-style=line --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options "$@"
}

.venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "lock.sh: use Python 3.11")'
inputs=$(mktemp -d)
trap 'rm -rf "$inputs"' EXIT
.venv/bin/python - "$inputs" <<'PYTHON'
import pathlib
import sys
import tomllib

project = tomllib.loads(pathlib.Path("pyproject.toml").read_text(encoding="utf-8"))
folder = pathlib.Path(sys.argv[1])
(folder / "build.in").write_text("\n".join(project["build-system"]["requires"]))
(folder / "dev.in").write_text("\n".join(project["dependency-groups"]["dev"]))
PYTHON
build=$inputs/build.in
dev=$inputs/dev.in

# What runs on a node; the same with what the demo and an editable install need; the same with the tools.
compile "$@" -o requirements/node.lock pyproject.toml
compile "$@" -o requirements/demo.lock -c requirements/node.lock --extra demo pyproject.toml "$build"
compile "$@" -o requirements/dev.lock -c requirements/demo.lock --extra demo pyproject.toml "$build" "$dev"
sed -i "s#-r $inputs/build.in#build system#; s#-r $inputs/dev.in#development#" requirements/*.lock
