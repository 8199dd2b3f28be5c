#!/bin/sh
# What a container of newsbeam does, by its arguments:
#   --id=… --provision_endpoint=… …   a worker of Beam's, as runners start it (also --worker_pool, --setup_only)
#   /a/program …                      that program: the launcher of flex templates, a shell
#   worker-pool, run, …               the command line
set -eu

for argument in "$@"; do
    case "$argument" in
        --id=* | --provision_endpoint=* | --worker_pool | --worker_pool=* | --setup_only | --setup_only=*)
            exec "${BEAM_BOOT:-/opt/apache/beam/boot}" "$@"
            ;;
        -*) ;;
        *) break ;;
    esac
done
case "${1-}" in
    /*) exec "$@" ;;
    newsbeam) shift ;;
esac
exec newsbeam "$@"
