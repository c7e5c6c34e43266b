#!/bin/sh
# RabbitMQ as PID 1 of its container: the cluster's cookie in its place, its own user, and SIGTERM reaches the node.
# Works in the official image and in one made from the Debian package.
set -eu
home=/var/lib/rabbitmq
if [ -f /secrets/rabbitmq/erlang_cookie ]; then
  install -o rabbitmq -g rabbitmq -m 400 /secrets/rabbitmq/erlang_cookie "$home/.erlang.cookie"
fi
if command -v docker-entrypoint.sh >/dev/null; then exec docker-entrypoint.sh rabbitmq-server; fi
chown rabbitmq:rabbitmq "$home"
# The node would else be a child of two shells that pass no signal on.
export HOME="$home" LANG=C.UTF-8 RUNNING_UNDER_SYSTEMD=true
exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups /usr/lib/rabbitmq/bin/rabbitmq-server
