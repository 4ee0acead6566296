#!/bin/sh
# A CA, and the certificate of Pebble's own API that it issued: for authority.test and the address $1.
# They outlast every certificate of a test that sets clocks forward.
set -eu
umask 077
cd /etc/authority
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout ca.key -out ca.pem -days 36500 \
  -subj '/CN=CA of the authority' -addext keyUsage=critical,keyCertSign
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout api.key -out api.pem -days 36500 \
  -CA ca.pem -CAkey ca.key -subj /CN=authority.test -addext basicConstraints=critical,CA:FALSE \
  -addext "subjectAltName=DNS:authority.test,DNS:localhost,IP:127.0.0.1,IP:$1"
chmod 0644 ca.pem
