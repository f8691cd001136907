#!/usr/bin/env bash
# Takes protections out one at a time and demands that a named test goes red.
#
#   tests/mutants.sh [NAME...]      all of tests/mutants/*.patch, or those named
#   tests/mutants.sh --part I/N     every N-th, from the I-th on (I from 1)
#
# The first line of a patch names what must fail: `test: it FILTER` (through the binary) or `test: lib FILTER` (unit tests).
# A mutant is seen when it builds and a test of that name, green without it, fails. Works on a copy below `target/`.
set -euo pipefail
cd "$(dirname "$0")/.."
part=1 parts=1
if [ "${1-}" = --part ]; then
  part=${2%/*} parts=${2#*/}
  shift 2
fi
[ $# -gt 0 ] || set -- tests/mutants/*.patch

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/mutants CARGO_TERM_QUIET=true
copy=$CARGO_TARGET_DIR/copy log=$CARGO_TARGET_DIR/log
rm -rf "$copy"
mkdir -p "$copy"
# New times on all files: what an interrupted mutant was built of is not to be taken for this.
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
cd "$copy"

run() { # KIND FILTER [OPTION...]: 0 when it passes, 1 when it fails, 2 when there is no such test
  local target=(--test it)
  [ "$1" = lib ] && target=(--lib)
  timeout 600 cargo test --locked "${target[@]}" "${@:3}" -- "$2" >"$log" 2>&1 || return 1
  [ $# -gt 2 ] || grep -Eq '^running [1-9]' "$log" || return 2
}

seen=0 wrong=0 number=0
declare -A green
for patch; do
  number=$((number + 1))
  [ $(((number - part) % parts)) = 0 ] || continue
  name=$(basename "$patch" .patch)
  patch=tests/mutants/$name.patch
  read -r _ kind filter <"$patch"
  complain() {
    printf '%-48s NOT SEEN: %s\n' "$name" "$1"
    wrong=$((wrong + 1))
  }
  if [ -z "${green[$kind $filter]-}" ]; then
    code=0
    run "$kind" "$filter" || code=$?
    case $code in
      0) green[$kind $filter]=yes ;;
      2) complain "no test is called \`$filter\`"; continue ;;
      *) complain "\`$filter\` fails without it"; tail -n 20 "$log"; continue ;;
    esac
  fi
  if ! git apply "$patch" 2>"$log"; then
    complain "it does not apply"; cat "$log"; continue
  fi
  if ! run "$kind" "$filter" --no-run; then
    complain "it does not build"; grep -m 3 -A 5 '^error' "$log" || true
  elif run "$kind" "$filter"; then
    complain "\`$filter\` passes"
  else
    printf '%-48s seen by %s\n' "$name" "$filter"
    seen=$((seen + 1))
  fi
  git apply -R "$patch"
done
echo "$seen mutants seen, $wrong not."
[ "$wrong" = 0 ]
