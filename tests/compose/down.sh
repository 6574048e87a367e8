#!/usr/bin/env bash
# Removes all containers, networks and volumes of the compose test, including those of runs that
# were interrupted.
set -euo pipefail
docker ps --all --quiet --filter name=^cairn-test-.*-alone | xargs -r docker rm --force --volumes >/dev/null
for project in $(docker ps --all --filter name=cairn-test- --format '{{.Label "com.docker.compose.project"}}' | sort -u); do
    case $project in cairn-test-*) ;; *) continue ;; esac
    docker ps --all --quiet --filter "label=com.docker.compose.project=$project" | xargs -r docker rm --force --volumes >/dev/null
    docker volume ls --quiet --filter "label=com.docker.compose.project=$project" | xargs -r docker volume rm >/dev/null
    docker network ls --quiet --filter "label=com.docker.compose.project=$project" | xargs -r docker network rm >/dev/null
done
