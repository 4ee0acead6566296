#!/bin/sh
# Deploys an environment as a user without a clone does: from a repository made by `make new-site`, with the collection
# installed in it and no setting of the clone's. own_repository.sh <clone> <environment> [<argument of ansible-playbook>...]
set -eu
clone=$1 environment=$2
shift 2
# git asks SUDO_UID whose a clone may be.
bare() { env -i HOME="$HOME" PATH="$PATH" ${SUDO_UID:+SUDO_UID="$SUDO_UID"} "$@"; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$clone"
bare make --silent new-site SITE="$folder/site"
bare ansible-galaxy collection build --output-path "$folder"
cd "$folder/site"
bare ansible-galaxy collection install --offline --no-deps "$folder"/slipway-flask-*.tar.gz
bare ansible-playbook --inventory "$environment" slipway.flask.site "$@"
