#!/usr/bin/env bash
# newsbeam on Dataflow, by gcloud: makes the flex template, starts a job of it, updates, drains.
#
#   launch.sh build                              makes the template of an image that was pushed
#   launch.sh run JOB name=value …               starts a job; names are newsbeam's options
#   launch.sh update JOB name=value …            puts a new job in the place of the one of that name
#   launch.sh drain JOB                          has it finish what it has read, and end
#   launch.sh --print …                          shows what would be run, and runs nothing
#
# What it needs, as environment variables:
#   PROJECT, REGION    where the job runs
#   BUCKET             gs://…, for the template and for what jobs stage
#   IMAGE              the image, target flex-template, as it was pushed
# What it takes:
#   SERVICE_ACCOUNT, SUBNETWORK, MACHINE_TYPE, MAX_WORKERS, NUM_WORKERS
#   PUBLIC_IPS=no      workers without addresses of their own (the subnetwork needs Private Google Access)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  sed -n '2,/^set /p' "${BASH_SOURCE[0]}" | sed -n 's/^# \{0,1\}//p'
  exit 2
}

fail() {
  echo "launch.sh: $*" >&2
  exit 2
}

need() {
  local name
  for name in "$@"; do
    [[ -n "${!name:-}" ]] || fail "\$$name is not set: see launch.sh --help"
  done
}

act() {
  if [[ "$print" == yes ]]; then
    printf '%q ' "$@"
    echo
  else
    command -v gcloud > /dev/null || fail "there is no gcloud: install the Google Cloud CLI, or give --print"
    "$@"
  fi
}

build() {
  need PROJECT BUCKET IMAGE
  act gcloud dataflow flex-template build "$template" --project="$PROJECT" --image="$IMAGE" \
    --sdk-language=PYTHON --metadata-file="$here/metadata.json"
}

run() {
  need PROJECT REGION BUCKET IMAGE
  [[ $# -ge 2 ]] || usage
  local job=$1 parameters each
  shift
  [[ "$job" =~ ^[a-z]([-a-z0-9]*[a-z0-9])?$ ]] \
    || fail "$job is no name of a job: lower case letters, digits and -, a letter first"
  # URIs have commas: gcloud takes another delimiter, which it is told first.
  parameters="^;;^sdk_container_image=$IMAGE"
  for each in "$@"; do
    [[ "$each" == *=* ]] || fail "$each is no parameter: write name=value, such as max_length=128"
    [[ "$each" != *";;"* ]] || fail "$each holds ;; which stands between parameters"
    parameters+=";;${each#--}"
  done
  local args=(--project="$PROJECT" --region="$REGION" --template-file-gcs-location="$template"
    --staging-location="$BUCKET/staging" --temp-location="$BUCKET/temp" --parameters="$parameters")
  [[ -z "${SERVICE_ACCOUNT:-}" ]] || args+=(--service-account-email="$SERVICE_ACCOUNT")
  [[ -z "${SUBNETWORK:-}" ]] || args+=(--subnetwork="$SUBNETWORK")
  [[ -z "${MACHINE_TYPE:-}" ]] || args+=(--worker-machine-type="$MACHINE_TYPE")
  [[ -z "${NUM_WORKERS:-}" ]] || args+=(--num-workers="$NUM_WORKERS")
  [[ -z "${MAX_WORKERS:-}" ]] || args+=(--max-workers="$MAX_WORKERS")
  [[ "${PUBLIC_IPS:-yes}" != no ]] || args+=(--disable-public-ips)
  [[ "$update" == no ]] || args+=(--update)
  act gcloud dataflow flex-template run "$job" "${args[@]}"
}

drain() {
  need PROJECT REGION
  [[ $# -eq 1 ]] || usage
  local id=JOB_ID
  if [[ "$print" == no ]]; then
    id=$(gcloud dataflow jobs list --project="$PROJECT" --region="$REGION" --status=active \
      --filter="name=$1" --format='value(JOB_ID)' --limit=1)
    [[ -n "$id" ]] || fail "no job $1 runs in $REGION"
  fi
  act gcloud dataflow jobs drain "$id" --project="$PROJECT" --region="$REGION"
}

print=no
update=no
if [[ "${1:-}" == --print ]]; then
  print=yes
  shift
fi
template="${BUCKET:-}/templates/newsbeam.json"
[[ -z "${BUCKET:-}" || "$BUCKET" == gs://* ]] || fail "\$BUCKET is $BUCKET: write gs://NAME"
case "${1:-}" in
  build) build ;;
  run) run "${@:2}" ;;
  update)
    update=yes
    run "${@:2}"
    ;;
  drain) drain "${@:2}" ;;
  *) usage ;;
esac
