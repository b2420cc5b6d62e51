#!/bin/sh
# postgres.sh NAME: runs one store of the shop, a PostgreSQL server of its own, in the foreground.
#
# NAME is the store's node in ward.yaml (`orders-db`); its database and role carry the name without `-db`.
# The first start makes the data directory, the role, the database and a password, all in $WARD_DATA_DIR, which Ward
# sets to .ward/data/NAME (by hand, that is the default):
#
#   $WARD_DATA_DIR/pgdata      the data
#   $WARD_DATA_DIR/password    the role's password, for the one service that uses this store
#
# The server listens on 127.0.0.1:$PORT only. Under `ward up` as root that is the loopback of the store's own network
# namespace: nobody but the store's sidecar can connect, and the sidecar lets in exactly the nodes that have a flow here.
# The password is a second lock. Without root there are no namespaces (`bypassable` in `ward nodes`), and the password
# is what keeps other users of this machine out.
set -eu

fail() {
    echo "postgres.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || fail "usage: PORT=5432 postgres.sh NAME, for example: PORT=5432 ./postgres.sh orders-db"
name=$1
case $name in
    *[!a-z0-9-]* | -* | "") fail "\`$name\` is not the name of a node: use lower-case letters, digits and hyphens" ;;
esac
role=$(printf %s "${name%-db}" | tr - _)
port=${PORT:-}
case $port in
    *[!0-9]* | "") fail "PORT is \`$port\`: set it to the port to listen on, for example PORT=5432" ;;
esac
host=${HOST:-127.0.0.1}

if [ "$(id -u)" -eq 0 ]; then
    fail "PostgreSQL refuses to run as root: give the node \`run: { user: postgres }\` in ward.yaml, \
or by hand: setpriv --reuid=postgres --regid=postgres --init-groups ./postgres.sh $name"
fi

# The newest server of Debian's packages; else whatever PATH has.
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n 1)
if [ ! -x "$bin/postgres" ] || [ ! -x "$bin/initdb" ]; then
    bin=$(command -v postgres) || fail "there is no PostgreSQL server here: apt-get install postgresql"
    bin=$(dirname "$(readlink -f "$bin")")
    [ -x "$bin/initdb" ] || fail "there is a postgres in $bin but no initdb: apt-get install postgresql"
fi

store=${WARD_DATA_DIR:-${WARD_STATE_DIR:-.ward}/data/$name}
mkdir -p "$store" 2> /dev/null || fail "$(id -un) cannot keep data in $store: it may not pass every directory on the way, \
which is so in a home directory closed to others; keep the state elsewhere, for example: ward up --state /var/lib/ward/shop"
[ -w "$store" ] || fail "$store belongs to $(stat -c %U "$store") and $(id -un) cannot write there: \
start the shop as before, or move that directory away to begin anew"
store=$(cd "$store" && pwd -P)
data=$store/pgdata

if [ ! -e "$data/PG_VERSION" ]; then
    # Made aside and renamed when whole, so that a start that was interrupted leaves nothing half-made behind.
    new=$store/pgdata.new
    rm -rf "$new"
    umask 077
    if [ ! -s "$store/password" ]; then
        head -c 24 /dev/urandom | base64 | tr '+/' '-_' > "$store/password.new"
        # The service runs as another user when Ward is root, and must be able to read it.
        [ "$(id -un)" != postgres ] || chmod 644 "$store/password.new"
        mv "$store/password.new" "$store/password"
    fi
    log=$store/first-start.log
    "$bin/initdb" --pgdata="$new" --username=postgres --pwfile="$store/password" --auth=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 > "$log" 2>&1 || fail "initdb failed: $(tail -n 3 "$log")"
    # One role, one database, from loopback, with the password; the superuser cannot come in by any door.
    echo "host $role $role 127.0.0.0/8 scram-sha-256" > "$new/pg_hba.conf"
    # Before the server ever listens: single-user mode, one statement a line.
    "$bin/postgres" --single -D "$new" -c password_encryption=scram-sha-256 postgres > "$log" 2>&1 <<SQL \
        || fail "the first start failed: $(tail -n 3 "$log")"
CREATE ROLE $role LOGIN PASSWORD '$(cat "$store/password")'
CREATE DATABASE $role OWNER $role
ALTER ROLE postgres NOLOGIN PASSWORD NULL
SQL
    rm -f "$log"
    mv "$new" "$data"
fi

installed=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
made=$(cat "$data/PG_VERSION")
[ "$installed" = "$made" ] || fail "$data was made by PostgreSQL $made and the server here is $installed: \
install postgresql-$made, or move the directory away to begin anew"

# A server that was killed leaves postmaster.pid behind. PostgreSQL sees through that, unless the number has since been
# given to another process of the same user, as happens after a reboot and in containers. This lock has no such doubt:
# the server and all its children hold it while they live. After a kill -9 the children take a moment to notice.
exec 9> "$store/lock"
flock -w 20 9 || fail "$name is already running from $store: stop it first"
rm -f "$data/postmaster.pid"

# TERM, which supervisors send, is PostgreSQL's polite stop: it waits for clients to leave, and the service keeps its
# connections. INT is the fast one: it ends sessions and closes the data properly. So this shell stays and turns the one
# into the other, and if the shell is killed the kernel sends INT in its stead (--pdeathsig).
setpriv --pdeathsig INT "$bin/postgres" -D "$data" -c listen_addresses="$host" -c port="$port" \
    -c unix_socket_directories= -c shared_buffers=16MB -c max_connections=20 -c max_wal_size=128MB \
    -c wal_level=minimal -c max_wal_senders=0 -c password_encryption=scram-sha-256 -c log_destination=stderr \
    -c logging_collector=off -c log_min_messages=warning -c autovacuum_max_workers=1 -c max_worker_processes=2 \
    -c max_parallel_workers=0 -c jit=off &
server=$!
trap 'kill -INT $server' TERM INT
while :; do
    status=0
    wait $server || status=$?
    # A signal ends the wait as well; then the server is still there to wait for.
    kill -0 $server 2> /dev/null || exit $status
done
