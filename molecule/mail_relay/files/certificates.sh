#!/bin/sh
# A CA that the server trusts, and the provider's certificate, which is for one of the two names of the provider.
set -eu
cd /opt/provider
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=Test CA' -keyout ca.key -out ca.pem
openssl req -new -newkey rsa:2048 -nodes -subj /CN=relay.test -keyout relay.key -out relay.csr
printf 'subjectAltName=DNS:relay.test\n' > extensions
openssl x509 -req -in relay.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile extensions -out relay.pem
cp ca.pem /usr/local/share/ca-certificates/provider.crt
