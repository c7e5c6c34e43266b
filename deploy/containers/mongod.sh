#!/bin/sh
# mongod as PID 1 of its container: as user 999 (mongodb in the official image), with the key that lets members trust each other.
# Compressors stay off: MongoDB before 6.0.27, 7.0.28 and 8.0.17 has CVE-2025-14847 in them.
set -eu
install -o 999 -g 999 -m 400 /secrets/mongo/keyfile /tmp/keyfile
chown -R 999:999 /data/db
exec setpriv --reuid=999 --regid=999 --clear-groups mongod --bind_ip_all --replSet rs0 --keyFile /tmp/keyfile \
  --dbpath /data/db --networkMessageCompressors disabled --wiredTigerCacheSizeGB "${MONGO_CACHE_GB:-0.5}" "$@"
