#!/bin/sh
# Tell the DNS server the names that it had: in names/add-a and names/add-aaaa is a file for each, which is what its API takes.
set -eu
cd /etc/authority/names
api=http://127.0.0.1:8055
until curl --silent "$api"; do sleep 0.1; done
for file in */*; do
  curl --silent --fail --data "@$file" "$api/${file%/*}"
done
