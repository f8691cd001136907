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

# Without a wall its protections are not missed.
export STEAD_REQUIRE_WALLS=${STEAD_REQUIRE_WALLS-namespaces,landlock}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/mutants CARGO_TERM_QUIET=true
copy=$CARGO_TARGET_DIR/copy log=$CARGO_TARGET_DIR/log
rm -rf "$copy"
mkdir -p "$copy"
# New times on all files: what an interrupted mutant was built of is not to be taken for this.
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
cd "$copy"
# Inside a repository `git apply` passes by what is not below the current directory, and says nothing.
export GIT_CEILING_DIRECTORIES=$CARGO_TARGET_DIR

build() { # KIND
  # The tests through the binary are built once: a mutant only changes the program that they start.
  if [ "$1" = it ]; then
    timeout 600 cargo build --locked --bin stead >"$log" 2>&1
  else
    timeout 600 cargo test --locked --lib --no-run >"$log" 2>&1
  fi
}

run() { # KIND FILTER: 0 when it passes, 1 when it fails, 2 when there is no such test
  local test=("$it")
  [ "$1" = lib ] && test=(cargo test --locked --lib --)
  timeout 600 "${test[@]}" "$2" >"$log" 2>&1 || return 1
  grep -Eq '^running [1-9]' "$log" || return 2
}

it=$(CARGO_TERM_QUIET=false cargo test --locked --test it --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')

chosen=() number=0
for patch; do
  number=$((number + 1))
  [ $(((number - part) % parts)) != 0 ] || chosen+=("$(basename "$patch" .patch)")
done

seen=0 wrong=0
complain() { # NAME WHAT
  printf '%-48s NOT SEEN: %s\n' "$1" "$2"
  wrong=$((wrong + 1))
}

# First everything without a mutant, so that it is built once.
build it
build lib
declare -A green
for name in "${chosen[@]}"; do
  read -r _ kind filter <"tests/mutants/$name.patch"
  [ -z "${green[$kind $filter]-}" ] || continue
  code=0
  run "$kind" "$filter" || code=$?
  green[$kind $filter]=$code
  [ $code = 0 ] || { echo "\`$filter\` fails without a mutant, or there is none:"; tail -n 20 "$log"; }
done

for name in "${chosen[@]}"; do
  patch=tests/mutants/$name.patch
  read -r _ kind filter <"$patch"
  case ${green[$kind $filter]} in
    0) ;;
    2) complain "$name" "no test is called \`$filter\`"; continue ;;
    *) complain "$name" "\`$filter\` fails without it"; continue ;;
  esac
  if ! git apply "$patch" 2>"$log"; then
    complain "$name" "it does not apply"; cat "$log"; continue
  fi
  if ! build "$kind"; then
    complain "$name" "it does not build"; grep -m 3 -A 5 '^error' "$log" || true
  elif run "$kind" "$filter"; then
    complain "$name" "\`$filter\` passes"
  else
    printf '%-48s seen by %s\n' "$name" "$filter"
    seen=$((seen + 1))
  fi
  git apply -R "$patch"
done
echo "$seen mutants seen, $wrong not."
[ "$wrong" = 0 ]
