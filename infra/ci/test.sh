#!/usr/bin/env bash
# Every check and test, fast ones first, one summary line per stage at the end; exit 1 if any stage failed.
#
#   infra/ci/test.sh [--stages a,b,…] [pytest arguments…]
#
# Stages: lint types contracts unit property conformance integration browser. `checks` stands for the first three.
# Without Java the Kafka tests are skipped, loudly; TWZRD_REQUIRE_KAFKA=1 makes that a failure. The same for inspircd and
# TWZRD_REQUIRE_INSPIRCD=1, and for Chromium and TWZRD_REQUIRE_BROWSER=1.
set -uo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/.venv/bin
stages="checks,unit,property,conformance,integration,browser"
if [[ ${1:-} == --stages ]]; then
  stages=${2:?--stages needs a list, for example --stages unit,property}
  shift 2
fi
stages=${stages//checks/lint,types,contracts}
if [[ ! -x $bin/pytest ]]; then
  echo "test.sh: $bin/pytest is not there; run: make test" >&2
  exit 2
fi

summary=()
failed=0

note() { # stage, result, seconds
  summary+=("$(printf '%-12s %-10s %5s s' "$1" "$2" "$3")")
  [[ $2 == ok || $2 == "no tests" ]] || failed=1
}

stage() { # name, command…
  local name=$1 began=$SECONDS result=ok
  shift
  printf '\n===== %s =====\n' "$name"
  "$@" || result=FAILED
  note "$name" "$result" $((SECONDS - began))
}

tests() { # name, pytest arguments…
  local name=$1 began=$SECONDS result=ok code=0
  shift
  printf '\n===== %s =====\n' "$name"
  "$bin/pytest" -q --durations=15 "tests/$name" "$@" || code=$?
  # 5: nothing collected. Right when the caller chose tests by name, a mistake when a whole stage is empty.
  if [[ $code == 5 && $chosen == yes ]]; then
    result="no tests"
  elif [[ $code != 0 ]]; then
    result=FAILED
  fi
  note "$name" "$result" $((SECONDS - began))
}

lint() {
  local code=0
  "$bin/ruff" check . || code=1
  "$bin/ruff" format --check . || code=1
  return $code
}

chosen=no
[[ $# -gt 0 ]] && chosen=yes
# One seed for all stages, so that one number repeats the whole run.
export TWZRD_SEED=${TWZRD_SEED:-$((RANDOM * 32768 + RANDOM))}
echo "TWZRD_SEED=$TWZRD_SEED"

for name in ${stages//,/ }; do
  case $name in
    lint) stage lint lint ;;
    types) stage types "$bin/mypy" ;;
    contracts) stage contracts "$bin/lint-imports" --no-cache ;;
    # Small and independent of each other: any worker may take any test.
    unit | property) tests "$name" -n 2 "$@" ;;
    # Servers and processes: a file stays with one worker, so its tests do not shake each other's timing.
    conformance | integration | browser) tests "$name" -n 2 --dist loadfile "$@" ;;
    *)
      echo "test.sh: there is no stage '$name'; see the first lines of $0" >&2
      exit 2
      ;;
  esac
done

printf '\n===== summary (TWZRD_SEED=%s) =====\n' "$TWZRD_SEED"
printf '%s\n' "${summary[@]}"
exit $failed
