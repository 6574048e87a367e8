#!/usr/bin/env bash
# Removes every container, network and volume that the compose test made, also those of a run that
# was ended in the middle.
set -euo pipefail
docker ps --all --quiet --filter name=^cairn-test-.*-alone | xargs -r docker rm --force --volumes >/dev/null
for project in $(docker ps --all --filter name=cairn-test- --format '{{.Label "com.docker.compose.project"}}' | sort -u); do
    case $project in cairn-test-*) ;; *) continue ;; esac
    docker ps --all --quiet --filter "label=com.docker.compose.project=$project" | xargs -r docker rm --force --volumes >/dev/null
    docker volume ls --quiet --filter "label=com.docker.compose.project=$project" | xargs -r docker volume rm >/dev/null
    docker network ls --quiet --filter "label=com.docker.compose.project=$project" | xargs -r docker network rm >/dev/null
done
