#!/bin/sh
# try.sh: a customer's way through the shop that `ward up examples/shop` started, and one request too many.
# Prints what it sends and what comes back; ends with 1 at the first answer that is not the expected one.
#
#   SHOP_URL   where the gateway is (default https://localhost:8443)
#   SHOP_STATE the --state directory of `ward up`, if it was given one
#   WARD       the ward program (default: the newest build of this repository, else the one in PATH)
set -eu

dir=$(cd "$(dirname "$0")" && pwd)
url=${SHOP_URL:-https://localhost:8443}
trust=${SHOP_STATE:-$dir/.ward}/trust.pem
ward=${WARD:-$(ls -t "$dir/../../target/release/ward" "$dir/../../target/debug/ward" 2> /dev/null | head -n 1)}
ward=${ward:-ward}
body=$(mktemp)
trap 'rm -f "$body"' EXIT

fail() {
    echo "try.sh: $1" >&2
    exit 1
}
[ -r "$trust" ] || fail "there is no $trust: start the shop first, with \`make up\` or \`ward up examples/shop\`"

# send EXPECTED METHOD PATH [curl's further arguments]: one request through the gateway.
send() {
    expected=$1 method=$2 path=$3
    shift 3
    printf '\n$ curl -X %s %s%s\n' "$method" "$url" "$path"
    status=$(curl --silent --show-error --max-time 30 --cacert "$trust" -X "$method" -H 'content-type: application/json' \
        -o "$body" -w '%{http_code}' "$@" "$url$path") || fail "the gateway at $url does not answer"
    # A session's token is good for an hour: it does not belong on a screen.
    printf '%s %s\n' "$status" "$(sed 's/"token":"[^"]*"/"token":"…"/' "$body")"
    [ "$status" = "$expected" ] || fail "$method $path was answered $status, not $expected"
}

# The text member NAME of the last answer.
member() {
    sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' "$body" | head -n 1
}

order() {
    printf '{"sku":"%s","quantity":%s,"card":{"number":"%s","expiry":"12/30","cvc":"123"}}' "$1" "$2" "$3"
}

run=$(date +%s)-$$
account='{"email":"ada-'$run'@shop.example","password":"correct horse battery"}'

echo "1. An account, and a session."
send 201 POST /register -d "$account"
send 200 POST /login -d "$account"
session="authorization: Bearer $(member token)"

echo
echo "2. An order: orders asks authentication who this is, inventory holds the stock, payments charges the card."
send 201 POST /orders -H "$session" -H "idempotency-key: $run-1" -d "$(order teapot 2 '4242 4242 4242 4242')"
id=$(member id)
send 200 GET "/orders/$id" -H "$session"
send 200 GET /orders -H "$session"

echo
echo "3. What the shop itself refuses: no session, a declined card, an article nobody sells, one that is sold out."
send 401 GET /orders
send 402 POST /orders -H "$session" -H "idempotency-key: $run-2" -d "$(order teapot 1 4000000000000002)"
send 404 POST /orders -H "$session" -H "idempotency-key: $run-3" -d "$(order unicorn 1 4242424242424242)"
send 409 POST /orders -H "$session" -H "idempotency-key: $run-4" -d "$(order first-edition 1 4242424242424242)"

echo
echo "4. What Ward refuses: no flow in the diagram says DELETE. The answer tells a stranger nothing but a number."
send 403 DELETE "/orders/$id" -H "$session"
decision=$(member decision)
[ -n "$decision" ] || fail "the refusal carries no decision id"

echo
echo "5. The operator, with that number, is told why."
# The record of the decision travels from the gateway to the control plane: give it a moment.
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    explained=0
    "$ward" explain "$decision" > "$body" 2>&1 || explained=$?
    # 1 says that the request is denied, which it is; 2 that there is no such decision, or no control plane.
    [ "$explained" -eq 2 ] || break
    sleep 1
done
printf '\n$ ward explain %s\n' "$decision"
cat "$body"
[ "$explained" -ne 2 ] || fail "the decision cannot be explained"
echo
echo "All as the diagram says."
