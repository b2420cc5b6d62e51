#!/bin/sh
# try.sh: a customer's way through the shop that `ward up examples/shop` started, and what nobody gets through with.
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
    status=$(curl --silent --show-error --max-time 30 --path-as-is --cacert "$trust" -X "$method" \
        -H 'content-type: application/json' -o "$body" -w '%{http_code}' "$@" "$url$path") ||
        fail "the gateway at $url does not answer"
    # A session's token is good for an hour: it does not belong on a screen.
    printf '%s %s\n' "$status" "$(sed 's/"token":"[^"]*"/"token":"…"/' "$body")"
    [ "$status" = "$expected" ] || fail "$method $path was answered $status, not $expected"
}

# refused EXPECTED REASON METHOD PATH […]: a request that Ward refuses. Its number is kept, to ask why in the end.
refusals=
refused() {
    expected=$1 reason=$2
    shift 2
    send "$expected" "$@"
    decision=$(member decision)
    [ -n "$decision" ] || fail "the refusal carries no decision id"
    refusals="$refusals $decision:$reason"
}

# The text member NAME of the last answer.
member() {
    sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' "$body" | head -n 1
}

order() {
    printf '{"sku":"%s","quantity":%s,"card":{"number":"%s","expiry":"12/30","cvc":"123"}}' "$1" "$2" "$3"
}

# A token with claims of our own choice, and a signature that is none.
forged() {
    base64url() { base64 | tr -d '=\n' | tr '+/' '-_'; }
    printf '%s.%s.%s' "$(printf '{"alg":"ES256","typ":"JWT"}' | base64url)" "$(printf '%s' "$1" | base64url)" \
        "$(head -c 64 /dev/zero | base64url)"
}

run=$(date +%s)-$$
account='{"email":"ada-'$run'@shop.example","password":"correct horse battery"}'

echo "1. An account, and a session: a token that the shop signs, good for an hour."
send 201 POST /register -d "$account"
send 200 POST /login -d "$account"
token=$(member token)
session="authorization: Bearer $token"

echo
echo "2. An order: orders asks authentication who this is, inventory holds the stock, payments charges the card."
send 201 POST /orders -H "$session" -H "idempotency-key: $run-1" -d "$(order teapot 2 '4242 4242 4242 4242')"
id=$(member id)
send 200 GET "/orders/$id" -H "$session"
send 200 GET /orders -H "$session"

echo
echo "3. What the shop itself refuses: a declined card, an article nobody sells, one that is sold out."
send 402 POST /orders -H "$session" -H "idempotency-key: $run-2" -d "$(order teapot 1 4000000000000002)"
send 404 POST /orders -H "$session" -H "idempotency-key: $run-3" -d "$(order unicorn 1 4242424242424242)"
send 409 POST /orders -H "$session" -H "idempotency-key: $run-4" -d "$(order first-edition 1 4242424242424242)"

echo
echo "4. What Ward refuses before the shop hears of it. The answer tells a stranger nothing but a number."
echo "   No token, where the diagram asks for one; an altered one; an old one; somebody else's:"
refused 403 no-rule-matched GET /orders
refused 401 jwt-signature GET /orders -H "authorization: Bearer ${token%????????}AAAAAAAA"
refused 401 jwt-expired GET /orders \
    -H "authorization: Bearer $(forged '{"iss":"https://shop.example","aud":"shop","sub":"ada","exp":1000000000}')"
refused 401 jwt-issuer GET /orders -H "authorization: Bearer $(forged '{"iss":"https://elsewhere.example","sub":"ada"}')"
echo
echo "   A policy beside the diagram denies /orders/export, however it is spelt:"
for path in /orders/export //orders//export /orders%2fexport '/orders;x=1/export' /orders/x/..%2fexport; do
    refused 403 denied-by-policy GET "$path" -H "$session"
done
refused 403 denied-by-policy GET /orders -H "$session" -H 'user-agent: sqlmap/1.9'
echo
echo "   And no flow in the diagram says DELETE:"
refused 403 no-rule-matched DELETE "/orders/$id" -H "$session"

# explain ARGUMENTS: what `ward explain` says, in $body. The record of a decision travels from the gateway to the control
# plane: it is given a moment.
explain() {
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        answered=0
        "$ward" explain "$@" > "$body" 2>&1 || answered=$?
        # 1 says that the request is denied, which it is; 2 that there is no such decision, or no control plane.
        [ "$answered" -eq 2 ] || return 0
        sleep 1
    done
    cat "$body"
    fail "the decision cannot be explained"
}

echo
echo "5. The operator, with these numbers, is told why."
for refusal in $refusals; do
    explain "${refusal%:*}"
    printf '\n$ ward explain %s\n' "${refusal%:*}"
    head -n 2 "$body"
    grep -q "^denied (${refusal#*:})" "$body" || fail "the reason is not ${refusal#*:}"
done
printf '\n   The last one in full, with what would allow it:\n\n$ ward explain %s\n' "$decision"
explain "$decision"
cat "$body"
printf '\n$ ward explain --why-not %s\n' "$decision"
explain --why-not "$decision"
cat "$body"
echo
echo "All as the diagram says."
